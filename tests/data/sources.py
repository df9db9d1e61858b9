"""Small sources of images for the tests."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from grape_bench.data.dataset import Example


def unpacked(batches: Iterable[Example]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The inputs and labels of batches whose model has one argument."""
    for ((inputs,), _), labels in batches:
        yield inputs, labels


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def random_images(count: int, size: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size), dtype=np.uint8))


def write_split(
    folder: Path, split: str, images: list[np.ndarray], labels: list[int], names: tuple[str, str] = ("image", "label")
) -> None:
    """Write `SPLIT.parquet` as `datasets` does, without its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": png(image), "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({names[0]: pa.array(cells, kind), names[1]: pa.array(labels, pa.int64())})
    pq.write_table(table, folder / f"{split}.parquet")


def write_folder(folder: Path, size: tuple[int, ...] = (8, 8, 3), train: int = 40, test: int = 10) -> Path:
    """Write a train and a test split of three classes with different images."""
    for seed, (split, count) in enumerate({"train": train, "test": test}.items()):
        write_split(folder, split, random_images(count, size, seed), [row % 3 for row in range(count)])
    return folder
