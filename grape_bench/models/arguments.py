"""Check the arguments that a user gives a model. Also the error messages that model sources share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, get_origin

from pydantic import Field
from pydantic.fields import FieldInfo

from grape_bench.arguments import check_value
from grape_bench.errors import UserError, unknown

GIVEN = ("shape", "classes", "inputs")
"""The arguments that the harness passes to a factory. It passes `inputs` only if the factory has that parameter."""

Widths = Annotated[
    Sequence[Annotated[int, Field(ge=1)]],
    Field(min_length=1, description="a list of one or more positive integers"),
]
"""The widths of hidden layers."""

Count = Annotated[int, Field(ge=1, description="an integer, 1 or more")]
Positive = Annotated[float, Field(gt=0, description="a number above 0")]
Rate = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
"""The share of units that dropout zeroes."""


def check_arguments(model_id: str, factory: Callable[..., object], args: dict[str, Any]) -> None:
    """Raise UserError unless `factory` accepts `args`: no unknown name, no missing name, and no bad value.

    Values are checked if the annotation is a Literal or has a pydantic Field. Other annotations of a user's factory are
    only documentation, as usual in Python.
    """
    # def factory(shape, classes, width: Annotated[int, Field(ge=1)], slope: float = 0.1)
    #   {"widht": 8}: unknown argument 'widht'; {}: missing 'width'; {"width": "8"}: width = '8';
    #   {"width": 8, "slope": "steep"} passes, and the factory itself must handle it.
    where = f"model_args of {model_id!r}"
    parameters = _signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    for name in args:
        if name in GIVEN or (name not in named and not takes_any):
            raise unknown("argument", name, [key for key in named if key not in GIVEN], where=where)
    given: dict[str, Any] = {"inputs": None} if takes_inputs(factory) else {}
    try:
        _signature(factory).bind(shape=(), classes=0, **given, **args)
    except TypeError as error:
        hint = "def factory(shape, classes): a factory is called as factory(shape=..., classes=..., **args)"
        raise UserError(str(error), where=where, hint=hint) from error
    for name, value in args.items():
        if name in parameters and _is_checked(parameters[name].annotation):
            check_value(name, value, parameters[name].annotation, where=where)


def takes_inputs(factory: Callable[..., object]) -> bool:
    """Whether `factory` has a parameter `inputs`, for what the data set gives the model."""
    return "inputs" in _signature(factory).parameters


def _signature(factory: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(factory, eval_str=True)
    except Exception:  # annotations of a user's file may use names imported only for type checking
        return inspect.signature(factory)


def _is_checked(annotation: Any) -> bool:
    has_field = any(isinstance(one, FieldInfo) for one in getattr(annotation, "__metadata__", ()))
    return has_field or get_origin(annotation) is Literal


def require_image(model_id: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return `shape` as (C, H, W). Raises UserError for samples that are not images."""
    if len(shape) != 3:
        raise UserError(
            f"the model needs images, not samples of shape {shape}",
            where=model_id,
            hint='model = "mlp"',
        )
    return shape[0], shape[1], shape[2]


def unknown_in_library(kind: str, name: str, known: Iterable[str], *, where: str, hint: str) -> UserError:
    """Return the error for an unknown name in a library that has too many names to list."""
    return UserError(unknown(kind, name, known).what, where=where, hint=hint)


def bad_arguments(model_id: str, error: Exception) -> UserError:
    """Turn the exception of a library's constructor into a UserError about the user's arguments."""
    return UserError(f"the model does not accept these arguments: {error}", where=f"model_args of {model_id!r}")


def unreachable(model_id: str, error: Exception) -> UserError:
    """Return the error for weights or a configuration that could not be downloaded."""
    return UserError(
        f"the download failed: {str(error).splitlines()[0]}",
        where=model_id,
        hint="load it once on a machine with a network (the download stays in $HF_HOME), use a local folder as hub "
        "id, or remove `pretrained` from model_args",
    )


def missing_extra(model_id: str, package: str, extra: str) -> UserError:
    """Return the error for a package that only some models need."""
    return UserError(f"the model needs {package}", where=model_id, hint=f"pip install grape-bench[{extra}]")
