"""The `.ts` files of the UCR and UEA archives: `NAME_TRAIN.ts` and `NAME_TEST.ts` in one folder.

Source of the format: Bagnall et al. 2018, "The UEA multivariate time series classification archive".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from grape_bench.data.arrow_table import ArrowTable
from grape_bench.data.files import existing_folder
from grape_bench.data.options import parse_options
from grape_bench.data.series import SeriesOptions, series_set
from grape_bench.data.tables import Table
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

KIND = pa.list_(pa.list_(pa.float32()))


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the series in the folder `name`. Arguments: those of series. Raises UserError."""
    dataset_id = f"ts:{name}"
    options = parse_options(SeriesOptions, dataset_id, args)
    return series_set(dataset_id, tables(existing_folder(name, where=dataset_id), where=dataset_id), options, device)


def tables(folder: Path, *, where: str) -> dict[str, Table]:
    """Read the files of both splits. Raises UserError unless there is exactly one of each."""
    found: dict[str, Table] = {}
    for split in ("train", "test"):
        files = tuple(folder.glob(f"*_{split.upper()}.ts"))
        if len(files) != 1:
            what = f"{len(files)} files are called NAME_{split.upper()}.ts in {folder.absolute()}"
            raise UserError(what, where=where, allowed="one NAME_TRAIN.ts and one NAME_TEST.ts")
        parts = {files[0].name: read(files[0], where)}
        found[split] = ArrowTable(parts, files, f"{where}, {split} split")
    return found


def read(file: Path, where: str) -> pa.Table:
    """Read a file: a column `series` (channels x length) and a column `label`. Raises UserError with the line."""
    # @data
    # 0.1,0.2,0.3:5.0,6.0,7.0:walking    two channels of three steps, of the class "walking"
    series: list[list[list[float]]] = []
    labels: list[str] = []
    in_data = False
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the file cannot be read: {error}", where=f"{where}, {file}") from error
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not in_data or not line or line.startswith("#"):
            in_data = in_data or line.lower() == "@data"
            continue
        *channels, label = line.split(":")
        try:
            series.append([[float(value) for value in channel.split(",")] for channel in channels])
        except ValueError as error:
            hint = "fill the gap" if "?" in line else "values with commas, channels with colons, the label last"
            place = f"{where}, {file}:{number}"
            raise UserError(f"a value is not a number: {error}", where=place, hint=hint) from error
        labels.append(label.strip())
    return pa.table({"series": pa.array(series, KIND), "label": pa.array(labels, pa.string())})
