"""At which steps of a training to look."""

from __future__ import annotations

STEPS_PER_MOMENT, MOST = 500, 20
"""A moment costs 2 to 12 training steps, the fewer the larger the network (`python -m benchmarks.diagnostics`)."""


def moments(steps: int, count: int | None = None) -> list[int]:
    """`count` numbers of steps done, equally spaced from 0 to `steps`; the last is always the end.

    Without a count, one for every `STEPS_PER_MOMENT` steps, at least one and at most `MOST`.
    """
    chosen = max(1, min(MOST, steps // STEPS_PER_MOMENT)) if count is None else count
    if chosen < 2:
        return [steps] * chosen
    return sorted({round(index * steps / (chosen - 1)) for index in range(chosen)})
