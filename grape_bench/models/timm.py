"""Unmodified models of timm."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import bad_arguments, require_image, unknown_in_library, unreachable


def build(name: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any]) -> nn.Module:
    """Call `timm.create_model(name)` for images of `shape` (C, H, W). `args` are keyword arguments and override ours.

    The image size is passed if the architecture accepts one. Raises UserError for an unknown name, arguments that the
    model does not accept, and weights (`pretrained = true`) that cannot be downloaded.
    """
    model_id = f"timm:{name}"
    channels, height, width = require_image(model_id, shape)
    architecture = name.partition(".")[0]  # the rest is a tag of pretrained weights
    if not timm.is_model(architecture) and "/" not in name:  # timm itself resolves hub ids
        hint = "one of timm.list_models()"
        raise unknown_in_library("timm model", name, timm.list_models(), where=model_id, hint=hint)
    settings = {"num_classes": classes, "in_chans": channels, **args}
    size = height if height == width else (height, width)
    if "img_size" in settings:
        return _create(name, settings)
    # timm does not say which architectures accept an image size. The others reject it at once.
    state = torch.get_rng_state()
    try:
        return _create(name, {**settings, "img_size": size})
    except UserError as error:
        if not (isinstance(error.__cause__, TypeError) and "img_size" in str(error.__cause__)):
            raise
    torch.set_rng_state(state)
    return _create(name, settings)


def _create(name: str, settings: dict[str, Any]) -> nn.Module:
    try:
        model: nn.Module = timm.create_model(name, **settings)
    except OSError as error:
        raise unreachable(f"timm:{name}", error) from error
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError) as error:
        raise bad_arguments(f"timm:{name}", error) from error
    return model
