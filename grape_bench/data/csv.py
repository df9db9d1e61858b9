"""A folder of CSV files: `train.csv`, `test.csv` and perhaps `validation.csv`, each with a line of column names."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from grape_bench.data.arrow_table import ArrowTable
from grape_bench.data.files import existing_folder, split_files
from grape_bench.data.tables import Table
from grape_bench.errors import UserError


def tables(name: str, *, where: str) -> dict[str, Table]:
    """Return the splits in the folder `name`. Raises UserError for a file that is not CSV."""
    files = split_files(existing_folder(name, where=where), "csv", where=where)
    return {split: read(paths, f"{where}, {split} split") for split, paths in files.items()}


def read(files: tuple[Path, ...], where: str) -> ArrowTable:
    """Read CSV files. Empty fields are missing values, in columns of text too."""
    parts = {f"{where}, {file.name}": _read(file, where) for file in files}
    return ArrowTable(parts, files, where)


def _read(file: Path, where: str) -> pa.Table:
    # Only an empty field is missing: words such as "NA" and "null" can be text.
    convert = pa_csv.ConvertOptions(null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False)
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    try:
        return pa_csv.read_csv(file, convert_options=convert, parse_options=parse)
    except (pa.ArrowException, OSError) as error:
        hint = "UTF-8 text with commas, and a line of column names"
        raise UserError(f"the file cannot be read: {error}", where=f"{where}, {file.name}", hint=hint) from error
