"""Sound: folders of WAV files, `train/CLASS/NAME.wav` and `test/CLASS/NAME.wav`, as series (channels, length)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy.io import wavfile

from grape_bench.data.arrow_table import ArrowTable
from grape_bench.data.files import existing_folder
from grape_bench.data.options import parse_options
from grape_bench.data.series import SeriesOptions, series_set
from grape_bench.data.tables import SPLITS, Table
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the WAV files in the folder `name`. Arguments: those of series. Raises UserError."""
    dataset_id = f"wav:{name}"
    options = parse_options(SeriesOptions, dataset_id, args)
    return series_set(dataset_id, tables(existing_folder(name, where=dataset_id), where=dataset_id), options, device)


def tables(folder: Path, *, where: str) -> dict[str, Table]:
    """Read all files. Raises UserError for a file that is not WAV, and for different sampling rates."""
    found: dict[str, Table] = {}
    rates: dict[int, Path] = {}
    for split, names in SPLITS.items():
        files = tuple(sorted(file for name in names for file in folder.glob(f"{name}/*/*.wav")))
        if not files:
            continue
        parts = {}
        for file in files:
            rate, series = _read(file, where)
            rates.setdefault(rate, file)
            if len(rates) > 1:
                what = f"the sampling rates differ: {' and '.join(map(str, rates))} per second"
                raise UserError(what, where=str(file), allowed="one sampling rate")
            row = {"series": pa.array([series.tolist()], pa.list_(pa.list_(pa.float32()))), "label": [file.parent.name]}
            parts[str(file.relative_to(folder))] = pa.table(row)
        found[split] = ArrowTable(parts, files, f"{where}, {split} split")
    if "train" not in found:
        what = f"no {folder.absolute() / 'train' / 'CLASS' / 'NAME.wav'}"
        raise UserError(what, where=where, allowed="train/CLASS/NAME.wav, test/CLASS/NAME.wav")
    return found


def _read(file: Path, where: str) -> tuple[int, Any]:
    """Return the sampling rate and the sound (channels, steps) float32, from -1 to 1 for integer samples."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # metadata chunks that scipy skips
            rate, samples = wavfile.read(file)
    except Exception as error:  # scipy raises many types for a damaged file
        raise UserError(f"the sound cannot be read: {error}", where=f"{where}, {file}", allowed="WAV files") from error
    if not len(samples):
        raise UserError("the sound has no samples", where=f"{where}, {file}")
    if samples.dtype == np.uint8:
        samples = samples.astype(np.float32) / 128 - 1
    elif np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float32) / np.iinfo(samples.dtype).max
    return int(rate), samples.astype(np.float32).reshape(len(samples), -1).T
