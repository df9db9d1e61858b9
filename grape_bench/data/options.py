"""The arguments of the data sets (`dataset_args` of a suite), checked without importing torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from grape_bench.errors import UserError, unknown

VALIDATION = 0.1
AUGMENTS = ("none", "flip-crop")
TABLE_ONLY = ("image_column", "label_column", "test_split", "memory_limit")


@dataclass(frozen=True)
class ImageOptions:
    """What a user may ask of a set of images."""

    limit: int | None = None
    """Only the first so many training samples of a fixed permutation; validation and test stay the same."""
    validation: float | None = None
    """The fraction of the training split set aside for validation (0.1), where there is no such split."""
    augment: str = "none"
    resize: int | None = None
    """Shorter side scaled to so many pixels (bilinear, anti-aliased), then the central square."""
    channels: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    test_split: str = "test"
    """Which split of the source is the test split: `validation` where the test labels are hidden."""
    memory_limit: float = 2.0
    """GiB of decoded images up to which they are kept in memory; larger sets are streamed."""


def parse(dataset_id: str, args: dict[str, Any], *, without: tuple[str, ...] = ()) -> ImageOptions:
    """`args` as ImageOptions; raises UserError for an unknown one (or one of `without`) and bad values."""
    where = f"dataset_args of {dataset_id!r}"
    names = [field.name for field in fields(ImageOptions) if field.name not in without]
    for name, value in args.items():
        if name not in names:
            raise unknown("argument", name, names, where=where)
        good, allowed = CHECKS[name]
        if not good(value):
            raise UserError(f"{name} = {value!r}", where=where, allowed=allowed)
    return ImageOptions(**args)


def _whole(value: object) -> bool:
    return type(value) is int and value > 0


def _number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value < high  # type: ignore[operator]


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "limit": (_whole, "a number of samples, 1 or more"),
    "validation": (
        lambda value: _number(value, 1e-9, 1.0),
        "a fraction of the training split between 0 and 1",
    ),
    "augment": (lambda value: value in AUGMENTS, ", ".join(AUGMENTS)),
    "resize": (_whole, "a number of pixels, 1 or more"),
    "channels": (lambda value: _whole(value) and value in (1, 3), "1 or 3"),
    "image_column": (_text, "the name of a column"),
    "label_column": (_text, "the name of a column"),
    "test_split": (_text, "the name of a split"),
    "memory_limit": (lambda value: _number(value, 0.0, float("inf")), "GiB, 0 or more"),
}
