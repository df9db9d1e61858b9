import numpy as np
import pytest
import torch

from grape_bench.data.cache import image_sums
from grape_bench.data.images import normalization

CPU = torch.device("cpu")


def test_normalization_of_two_images() -> None:
    """The example in the comment of `normalization`."""
    images = np.array([[[[0, 4]]], [[[4, 8]]]], dtype=np.uint8)
    transform = normalization(image_sums(images), 2, "none", CPU)
    assert transform.mean.item() == 4
    assert transform.std.item() == pytest.approx(8**0.5)


def test_normalization_per_channel_is_that_of_numpy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 5, 4), dtype=np.uint8)
    transform = normalization(image_sums(images), 20, "flip-crop", CPU)
    assert transform.mean.flatten().tolist() == pytest.approx(images.mean((0, 2, 3)))
    assert transform.std.flatten().tolist() == pytest.approx(images.std((0, 2, 3)))
    assert transform.mean.shape == (3, 1, 1)


def test_a_constant_channel_becomes_zero() -> None:
    images = np.full((4, 1, 3, 3), 7, dtype=np.uint8)
    transform = normalization(image_sums(images), 9, "none", CPU)
    assert not transform(torch.from_numpy(images), None).any()
