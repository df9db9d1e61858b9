"""How a check reports a broken promise."""

from __future__ import annotations

from torch import Tensor


class BrokenPromiseError(Exception):
    """The rule breaks the promise that the check tests. The message says what the rule does instead."""


def require(kept: bool, otherwise: str) -> None:
    """Raise BrokenPromiseError with the message `otherwise`, unless `kept`."""
    if not kept:
        raise BrokenPromiseError(otherwise)


def same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two gradients are bit-identical, or both missing. NaNs are equal to each other."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())


def difference(one: Tensor | None, other: Tensor | None) -> float:
    """||a - b|| ÷ ||b||. Infinite if only one of them exists, zero if both are zero or missing."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    gap, size = (one - other).norm().item(), other.norm().item()
    return gap / size if size else (float("inf") if gap else 0.0)
