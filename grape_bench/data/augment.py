"""A user-defined augmentation: `path/to/file.py:function`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from grape_bench.errors import UserError
from grape_bench.registry import is_file_reference, split_file_reference
from grape_bench.user_code import load_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Augmentation = Callable[["Tensor", "torch.Generator"], "Tensor"]
"""Called as function(images, generator) with images (N, C, H, W), float32 gray levels from 0 to 255."""


def load_augmentation(reference: str) -> Augmentation:
    """Import the function that `reference` names. Raises UserError."""
    if not is_file_reference(reference):
        raise UserError(f"{reference!r} is no file", where="augment_with", allowed="path/to/file.py:function")
    path, name = split_file_reference(reference)
    found: Any = getattr(load_file(path), name, None)
    if not callable(found):
        hint = "def function(images, generator): ..."
        raise UserError(f"{name!r} is not a function in {path}", where="augment_with", hint=hint)
    function: Augmentation = found
    return function


def augmented(images: Tensor, function: Augmentation, seed: int) -> Tensor:
    """Apply `function` to stored images. All its random numbers should come from the generator.

    Raises UserError if the result is not images of the same shape.
    """
    import torch

    generator = torch.Generator(images.device).manual_seed(seed)
    found = function(images.to(torch.float32), generator)
    if not isinstance(found, torch.Tensor) or found.shape != images.shape:
        returned = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise UserError(f"the augmentation returned {returned}", where="augment_with", allowed=f"{tuple(images.shape)}")
    return found
