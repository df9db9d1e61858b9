"""The model that `profile` and `blocks` look at, with a sample for it: their options, and what they describe."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.key_value import key_values, table
from grape_bench.errors import UserError, users_mistakes

if TYPE_CHECKING:
    from grape_bench.cost.rules import Subject

_OPTIONS = (
    key_values("--model-args"),
    click.option("--shape", default="3,32,32", show_default=True, help="Shape of a sample."),
    click.option("--classes", default=10, show_default=True, type=click.IntRange(min=1)),
)


def describing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters model_args, shape and classes. An error in the user's own code is a UserError."""

    @wraps(command)
    def describe(**given: Any) -> None:
        with users_mistakes():
            command(**given)

    for option in reversed(_OPTIONS):
        describe = option(describe)
    return describe


def make_subject(model: str, model_args: tuple[str, ...], shape: str, classes: int, batch_size: int) -> Subject:
    """Return the model and its batches. Raises UserError if the arguments or the shape are malformed."""
    from grape_bench.cost.rules import Subject

    arguments = table(model_args, "--model-args")
    try:
        extents = tuple(int(extent) for extent in shape.split(","))
    except ValueError:
        extents = ()
    if not extents or min(extents) < 1:
        raise UserError(f"{shape!r} is not a shape", where="--shape", hint="--shape 3,32,32")
    return Subject(model, arguments, extents, classes, batch_size)
