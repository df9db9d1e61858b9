"""Per-channel normalization of images: from the training images, or that of a pretrained checkpoint."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grape_bench.data.cache import Sums
from grape_bench.errors import UserError

LIBRARIES = "timm:NAME or hf:NAME, as in `model`"
GRAY_LEVELS = 255


def of_training_images(sums: Sums, pixels: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (C, 1, 1) from the sums of the training images of `pixels` values each."""
    # Two gray images of 2 pixels, [0 4] and [4 8]: sums [[4 16]] and [[12 80]] over 2 * 2 values,
    #   mean = 16 / 4 = 4, mean square = 96 / 4 = 24,
    #   std = sqrt(24 - 4**2) = 2.83. Integer sums make this exact and independent of the order.
    mean, mean_square = sums.sum(0).T.astype(np.float64) / (len(sums) * pixels)
    std = np.sqrt(np.maximum(mean_square - mean**2, 0.0))
    std[std == 0.0] = 1.0  # a constant channel becomes zero
    return _per_channel(mean), _per_channel(std)


def of_checkpoint(model: str, channels: int) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation (C, 1, 1), in gray levels, with which `model` was pretrained.

    Raises UserError if the model is unknown, has no normalization, or has another number of channels.
    """
    library, _, name = model.partition(":")
    if library not in ("timm", "hf") or not name:
        raise UserError(f"{model!r} is no checkpoint", where="normalize", allowed=LIBRARIES)
    try:
        mean, std = _timm(name) if library == "timm" else _transformers(name)
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        what = f"{model!r} names no normalization: {str(error).splitlines()[0]}"
        raise UserError(what, where="normalize", allowed=LIBRARIES) from error
    if len(mean) != channels:
        what = f"{model!r} was trained on images of {len(mean)} channels, and these have {channels}"
        raise UserError(what, where="normalize", hint=f"dataset_args = {{ channels = {len(mean)} }}")
    return _per_channel(GRAY_LEVELS * np.array(mean)), _per_channel(GRAY_LEVELS * np.array(std))


def _timm(name: str) -> tuple[list[float], list[float]]:
    import timm

    with torch.device("meta"):  # only the configuration, without memory for weights
        found = timm.create_model(name).pretrained_cfg
    return list(found["mean"]), list(found["std"])


def _transformers(name: str) -> tuple[list[float], list[float]]:
    from transformers import AutoImageProcessor

    found = AutoImageProcessor.from_pretrained(name)
    return list(found.image_mean), list(found.image_std)


def _per_channel(values: NDArray[np.float64]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
