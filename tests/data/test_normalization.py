"""The normalization of images, from the training images or as a checkpoint was trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from timm.models import save_for_hf

from grape_bench.data.batches import Transform
from grape_bench.data.cache import image_sums
from grape_bench.data.normalization import of_checkpoint, of_training_images
from grape_bench.errors import UserError


def test_two_images_by_hand() -> None:
    """The example in the comment of `of_training_images`."""
    images = np.array([[[[0, 4]]], [[[4, 8]]]], dtype=np.uint8)
    mean, std = of_training_images(image_sums(images), 2)
    assert mean.item() == 4
    assert std.item() == pytest.approx(8**0.5)


def test_the_statistics_per_channel_are_those_of_numpy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 5, 4), dtype=np.uint8)
    mean, std = of_training_images(image_sums(images), 20)
    assert mean.flatten().tolist() == pytest.approx(images.mean((0, 2, 3)))
    assert std.flatten().tolist() == pytest.approx(images.std((0, 2, 3)))
    assert mean.shape == (3, 1, 1)


def test_a_constant_channel_becomes_zero() -> None:
    images = np.full((4, 1, 3, 3), 7, dtype=np.uint8)
    mean, std = of_training_images(image_sums(images), 9)
    inputs, _ = Transform(mean, std, "none")(torch.from_numpy(images), torch.zeros(4), None)
    assert not inputs.any()


def test_timm_says_how_its_weights_were_trained() -> None:
    mean, std = of_checkpoint("timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", 3)
    assert mean.flatten().tolist() == std.flatten().tolist() == [127.5] * 3
    mean, _ = of_checkpoint("timm:resnet18", 3)
    assert torch.allclose(mean.flatten(), 255 * torch.tensor([0.485, 0.456, 0.406]))


def test_a_local_folder_of_timm(tmp_path: Path) -> None:
    model = timm.create_model("resnet10t")
    model.pretrained_cfg["mean"] = (0.25, 0.5, 0.75)
    save_for_hf(model, tmp_path)
    mean, _ = of_checkpoint(f"timm:local-dir:{tmp_path}", 3)
    assert mean.flatten().tolist() == [63.75, 127.5, 191.25]


def test_a_local_folder_of_transformers(tmp_path: Path) -> None:
    stored = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stored))
    mean, std = of_checkpoint(f"hf:{tmp_path}", 3)
    assert mean.flatten().tolist() == [127.5] * 3 and std.flatten().tolist() == [63.75] * 3


@pytest.mark.parametrize(
    ("model", "channels", "said"),
    [
        ("mlp", 3, "'mlp' is no checkpoint"),
        ("timm:resnt18", 3, "names no normalization"),
        ("timm:resnet18", 1, r"channels = 3"),
    ],
)
def test_what_names_no_normalization(model: str, channels: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        of_checkpoint(model, channels)
