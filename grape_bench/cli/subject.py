"""The model that `profile` and `blocks` look at, with a sample for it: their options, and what they describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.key_value import key_values, table
from grape_bench.errors import UserError

if TYPE_CHECKING:
    from grape_bench.cost.rules import Subject

_OPTIONS = (
    key_values("--model-args"),
    click.option("--shape", default="3,32,32", show_default=True, help="Shape of a sample."),
    click.option("--classes", default=10, show_default=True),
)


def describing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters model_args, shape and classes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_subject(model: str, model_args: tuple[str, ...], shape: str, classes: int, batch_size: int) -> Subject:
    """Return the model and its batches. Raises UserError if the arguments or the shape are malformed."""
    from grape_bench.cost.rules import Subject

    arguments = table(model_args, "--model-args")
    try:
        extents = tuple(int(extent) for extent in shape.split(","))
    except ValueError as error:
        raise UserError(f"{shape!r} is not a shape", where="--shape", hint="--shape 3,32,32") from error
    return Subject(model, arguments, extents, classes, batch_size)
