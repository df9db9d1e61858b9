from collections.abc import Callable

import numpy as np
import pytest
import torch

from grape_bench.data import DataSet, Split
from grape_bench.data.digits import read
from grape_bench.errors import UserError
from tests.data.sources import unpacked

load_digits = pytest.importorskip("sklearn.datasets").load_digits


def whole(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = zip(*unpacked(split.batches(100)), strict=True)
    return torch.cat(inputs), torch.cat(labels)


def gray_levels(data: DataSet, split: Split) -> np.ndarray:
    """Undo the normalization: (N, 64) gray levels of 0 to 16."""
    mean, std = data.description["mean"][0], data.description["std"][0]
    return np.rint((whole(split)[0].flatten(1).numpy() * std + mean) / 15).astype(int)


def test_the_splits_are_scikit_learns_digits_each_once(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits")
    rows = np.concatenate([gray_levels(data, split) for split in (data.train, data.validation, data.test)])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, load_digits().data.astype(int)))


def test_sizes_and_shape(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits")
    assert data.description["sizes"] == {"train": 1295, "validation": 143, "test": 359}
    assert (len(data.train), len(data.validation), len(data.test)) == (1295, 143, 359)
    assert (data.name, data.shape, data.classes) == ("digits", (1, 8, 8), 10)
    inputs, labels = next(unpacked(data.train.batches(5)))
    assert (inputs.dtype, labels.dtype, inputs.shape, labels.shape) == (torch.float32, torch.int64, (5, 1, 8, 8), (5,))


def test_every_class_is_in_every_split_in_proportion(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits")
    counts = [torch.bincount(whole(split)[1], minlength=10) for split in (data.train, data.validation, data.test)]
    total = torch.stack(counts).sum(0)
    assert ((counts[2] - 0.2 * total).abs() < 1).all()
    assert ((counts[1] - 0.08 * total).abs() < 1).all()


def test_only_the_training_samples_set_the_normalization(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=200)
    inputs, _ = whole(data.train)
    assert inputs.mean().abs() < 1e-5
    assert (inputs.std(correction=0) - 1).abs() < 1e-4


def test_limit_takes_the_first_training_samples_and_leaves_the_other_splits(
    load_on_cpu: Callable[..., DataSet],
) -> None:
    full, limited = load_on_cpu("digits"), load_on_cpu("digits", limit=100)
    assert np.array_equal(gray_levels(limited, limited.train), gray_levels(full, full.train)[:100])
    assert np.array_equal(gray_levels(limited, limited.validation), gray_levels(full, full.validation))
    assert np.array_equal(gray_levels(limited, limited.test), gray_levels(full, full.test))
    assert limited.description["fingerprint"] != full.description["fingerprint"]


def test_resize_and_channels(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", resize=12, channels=3)
    inputs, _ = next(unpacked(data.test.batches(4)))
    assert data.shape == (3, 12, 12)
    assert torch.equal(inputs[:, 0], inputs[:, 2])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"limt": 3}, "did you mean 'limit'"),
        ({"image_column": "x"}, "unknown argument"),
        ({"limit": 0}, "1 or more"),
        ({"limit": True}, "1 or more"),
        ({"validation": 1.0}, "between 0 and 1"),
        ({"augment": "flip"}, "did you mean 'flip-crop'"),
        ({"channels": 2}, "1 or 3"),
        ({"channels": True}, "1 or 3"),
        ({"augment": 3}, "none, flip-crop"),
        ({"resize": 8.0}, "number of pixels"),
        ({"resize": 4, "augment": "flip-crop"}, "too small for augment"),
    ],
)
def test_mistakes_are_refused(load_on_cpu: Callable[..., DataSet], args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_on_cpu("digits", **args)


def test_pil_gives_the_same_pixels_without_resizing(load_on_cpu: Callable[..., DataSet]) -> None:
    for channels in (1, 3):
        plain, resized = (load_on_cpu("digits", channels=channels, **more) for more in ({}, {"resize": 8}))
        assert plain.shape == resized.shape == (channels, 8, 8)
        assert all(map(torch.equal, whole(plain.test), whole(resized.test)))


def test_a_missing_scikit_learn_is_reported(
    load_on_cpu: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    read.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="scikit-learn is not installed"):
        load_on_cpu("digits")
