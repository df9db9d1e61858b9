"""Which GPU a slot has."""

from __future__ import annotations

from collections.abc import Mapping


def gpu_of_slot(slot: int, count: int, environment: Mapping[str, str]) -> str | None:
    """The GPU of a slot under the name that CUDA_VISIBLE_DEVICES has for it (a number, a UUID, a MIG instance).

    `count` of them are visible; more slots than that share them evenly. None where there is none.
    """
    if count == 0:
        return None
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(count)] if visible is None else visible.split(",")[:count]
    return names[slot % count].strip()
