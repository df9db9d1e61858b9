"""RandAugment (Cubuk et al. 2020), using timm's implementation."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from grape_bench.data.augment import Augmentation
from grape_bench.errors import UserError

FORM = r"rand(-((m|n|p|mstd|mmax|inc)\d+(\.\d+)?|tweights))*"

GRAY = 128
"""The gray level that fills the corners of a rotated image."""


def rand_augment(config: str, channels: int) -> Augmentation:
    """Return the augmentation for timm's `config` string, such as "rand-m9-mstd0.5-inc1".

    Each image of a batch gets its own operations. Raises UserError for a `config` that timm cannot parse.
    """
    from timm.data.auto_augment import rand_augment_transform

    fill = {"img_mean": (GRAY,) * 3 if channels == 3 else GRAY}
    try:
        if not re.fullmatch(FORM, config):  # timm ignores unknown parts
            raise ValueError("a part is unknown")
        operations = rand_augment_transform(config, fill)
    except (AssertionError, KeyError, ValueError) as error:
        allowed = "timm's form, such as rand-m9-mstd0.5-inc1"
        raise UserError(f"{config!r} is no RandAugment: {error}", where="rand_augment", allowed=allowed) from error

    def augmentation(images: Tensor, generator: torch.Generator) -> Tensor:
        pixels = images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        seed = int(torch.randint(2**32, (), generator=generator, device=generator.device))
        with _seeded(seed):
            changed = [np.asarray(operations(Image.fromarray(one if channels == 3 else one[..., 0]))) for one in pixels]
        stacked = torch.from_numpy(np.stack(changed)).to(images.device, images.dtype)
        return stacked.permute(0, 3, 1, 2) if channels == 3 else stacked[:, None]

    return augmentation


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python and numpy, which timm draws from, and restore them at the end."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
