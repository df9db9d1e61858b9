"""Checks of what a user hands to a model, and the errors that say it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from grape_bench.errors import UserError, unknown

GIVEN = ("shape", "classes")


def check_arguments(model_id: str, factory: Callable[..., object], args: dict[str, Any]) -> None:
    """Raise UserError where `factory` does not take `args`, or needs one that is not there."""
    where = f"model_args of {model_id!r}"
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    for name in args:
        if name in GIVEN or (name not in named and not takes_any):
            raise unknown("argument", name, [key for key in named if key not in GIVEN], where=where)
    try:
        inspect.signature(factory).bind(shape=(), classes=0, **args)
    except TypeError as error:
        hint = "def factory(shape, classes): a factory is called as factory(shape=..., classes=..., **args)"
        raise UserError(str(error), where=where, hint=hint) from error


def require_image(model_id: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """`shape` as (C, H, W); raises UserError for samples that are not images."""
    if len(shape) != 3:
        raise UserError(f"needs images, not samples of shape {shape}", where=model_id, hint='model = "mlp"')
    return shape[0], shape[1], shape[2]


def require_widths(model_id: str, name: str, widths: Sequence[int]) -> list[int]:
    """`widths` as a list of positive whole numbers, one or more; raises UserError otherwise."""
    is_list = isinstance(widths, (list, tuple)) and len(widths) > 0
    if is_list and all(type(width) is int and width > 0 for width in widths):
        return list(widths)
    raise UserError(
        f"{name} = {widths!r}",
        where=f"model_args of {model_id!r}",
        allowed="a list of one or more positive whole numbers",
    )


def unknown_in_library(kind: str, name: str, known: Iterable[str], *, where: str, hint: str) -> UserError:
    """Like `errors.unknown`, for a library with too many names to print them all."""
    return UserError(unknown(kind, name, known).what, where=where, hint=hint)


def bad_arguments(model_id: str, error: Exception) -> UserError:
    """What a library's constructor said of the user's arguments, as a UserError."""
    return UserError(f"the model does not take them: {error}", where=f"model_args of {model_id!r}")


def unreachable(model_id: str, error: Exception) -> UserError:
    """The error for weights or a configuration that could not be fetched."""
    return UserError(
        f"could not fetch it: {str(error).splitlines()[0]}",
        where=model_id,
        hint="a machine with a network first (the download is kept in $HF_HOME), a local folder as hub id, "
        "or model_args without `pretrained`",
    )
