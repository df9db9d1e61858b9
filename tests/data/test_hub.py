import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from tests.data.sources import random_images, unpacked

datasets = pytest.importorskip("datasets")

Load = Callable[..., DataSet]


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A folder that `datasets` reads as an imagefolder: SPLIT/CLASS/NAME.png."""
    for seed, split in enumerate(("train", "test")):
        for row, image in enumerate(random_images(30, (8, 8, 3), seed)):
            path = tmp_path / split / ("cat", "dog")[row % 2] / f"{row:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return tmp_path


def test_what_load_dataset_reads_in_memory_and_batch_by_batch(image_folder: Path, load_on_cpu: Load) -> None:
    both = [load_on_cpu(f"hf:{image_folder}", memory_limit=limit) for limit in (1.0, 0)]
    assert both[0].description["sizes"] == {"train": 26, "validation": 4, "test": 30}
    assert (both[0].shape, both[0].classes) == ((3, 8, 8), 2)
    for (a, b), (c, d) in zip(*(unpacked(data.test.batches(10)) for data in both), strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_a_damaged_image_is_named_by_its_file(image_folder: Path, load_on_cpu: Load) -> None:
    (image_folder / "train" / "dog" / "03.png").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"train split, row \d+ \(.*train/dog/03.png\): PIL cannot read the image"):
        load_on_cpu(f"imagefolder:{image_folder}")


def test_the_val_folder_is_the_validation_split(image_folder: Path, load_on_cpu: Load) -> None:
    shutil.copytree(image_folder / "test", image_folder / "val")
    sizes = load_on_cpu(f"imagefolder:{image_folder}").description["sizes"]
    assert sizes == {"train": 30, "validation": 30, "test": 30}


def test_the_signs_of_patterns_in_a_path_are_refused(image_folder: Path, load_on_cpu: Load) -> None:
    odd = image_folder.rename(image_folder.parent / "images [1]")
    with pytest.raises(UserError, match=r"reads the signs .* as patterns"):
        load_on_cpu(f"imagefolder:{odd}")


def test_a_changed_image_is_seen(image_folder: Path, load_on_cpu: Load) -> None:
    before = next(unpacked(load_on_cpu(f"hf:{image_folder}").test.batches(30)))[0]
    path = image_folder / "test" / "cat" / "00.png"
    Image.new("RGB", (8, 8), "white").save(path)
    os.utime(path, (1, 1))
    after = next(unpacked(load_on_cpu(f"hf:{image_folder}").test.batches(30)))[0]
    assert (before != after).flatten(1).any(1).sum() == 1


def test_name_and_configuration(monkeypatch: pytest.MonkeyPatch, load_on_cpu: Load) -> None:
    asked = []

    def no_network(*args: str | None) -> None:
        asked.append(args)
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    with pytest.raises(UserError, match=r"hf:owner/name:small: .*Couldn't reach the Hub[\s\S]*network"):
        load_on_cpu("hf:owner/name:small")
    assert asked == [("owner/name", "small")]
