"""A folder of CSV files: `train.csv`, `test.csv` and optionally `validation.csv`, each with a header line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from grape_bench.data.arrow_table import ArrowTable
from grape_bench.data.files import existing_folder, split_files
from grape_bench.data.kinds import make_set
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet


FORM = "UTF-8 text with commas, and a line of column names"


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set in the folder `name`. Raises UserError if it is missing or unreadable."""
    dataset_id = f"csv:{name}"
    files = split_files(existing_folder(name, where=dataset_id), "csv", where=dataset_id)
    tables = {split: read(paths, f"{dataset_id}, {split} split") for split, paths in files.items()}
    return make_set(dataset_id, tables, args, device)


def read(files: tuple[Path, ...], where: str) -> ArrowTable:
    """Read CSV files. Empty fields are missing values, even in text columns."""
    parts = {file.name: _read(file, where) for file in files}
    return ArrowTable(parts, files, where)


def _read(file: Path, where: str) -> pa.Table:
    # Only an empty field is missing, because words such as "NA" and "null" can be text.
    convert = pa_csv.ConvertOptions(null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False)
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    try:
        table = pa_csv.read_csv(file, convert_options=convert, parse_options=parse)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"the file cannot be read: {error}", where=f"{where}, {file.name}", allowed=FORM) from error
    for field in table.schema:
        if pa.types.is_binary(field.type):  # Arrow reads text that is not UTF-8 as binary
            raise UserError(f"column {field.name!r} is not UTF-8 text", where=f"{where}, {file.name}", allowed=FORM)
    if table.num_columns == 1 and any(sign in table.column_names[0] for sign in ";\t|"):
        what = f"there is one column, called {table.column_names[0]!r}"
        raise UserError(what, where=f"{where}, {file.name}", allowed=FORM)
    return table
