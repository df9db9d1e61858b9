"""Unmodified models of torchvision."""

from __future__ import annotations

from typing import Any
from urllib.error import URLError

import torchvision
from torch import nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import bad_arguments, require_image, unknown_in_library, unreachable


def build(name: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any]) -> nn.Module:
    """Call `torchvision.models.get_model(name, weights=None)` for images of `shape` (C, H, W). `args` override ours.

    Vision transformers get the image size. Raises UserError for an unknown name, arguments that the model does not
    accept, and images without three channels.
    """
    model_id = f"torchvision:{name}"
    channels, height, width = require_image(model_id, shape)
    known = torchvision.models.list_models(module=torchvision.models)
    if name.lower() not in known:
        hint = "one of torchvision.models.list_models(module=torchvision.models)"
        raise unknown_in_library("torchvision model", name, known, where=model_id, hint=hint)
    if channels != 3:
        hint = "dataset_args = { channels = 3 }"
        raise UserError(f"the model needs images with 3 channels, not {channels}", where=model_id, hint=hint)
    settings: dict[str, Any] = {"weights": None, "num_classes": classes}
    if name.startswith("vit_"):
        settings["image_size"] = height
    elif name.startswith("maxvit"):
        settings["input_size"] = (height, width)
    try:
        model: nn.Module = torchvision.models.get_model(name, **{**settings, **args})
    except URLError as error:
        raise unreachable(model_id, error) from error
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError) as error:
        raise bad_arguments(model_id, error) from error
    return model
