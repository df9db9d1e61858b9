"""The file of golden runs, and when an entry of it may be replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.golden.runs import Numbers, differences

FILE = Path(__file__).with_name("runs.json")
UPDATE = "python -m tests.golden"

Entry = dict[str, Any]
"""`made_with` (see `Case.made_with`) beside the numbers."""


def read() -> dict[str, Entry]:
    """The stored runs by name."""
    entries: dict[str, Entry] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    return entries


def write(entries: dict[str, Entry]) -> None:
    """Replace the file: one line per run, so that a diff shows which runs changed."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def problems(stored: Entry | None, made_with: dict[str, Any], numbers: Numbers) -> list[str]:
    """Why the stored run differs from what the code gives today. Empty if it does not."""
    if stored is None:
        return [f"there is no such run yet: {UPDATE}"]
    found = differences(numbers, stored)
    if stored["made_with"] == made_with:
        advice = f"if that is intended, raise `numerics` of the part that changed, then {UPDATE}"
        return [*found, advice] if found else []
    return [*found, f"stored with {stored['made_with']}, now {made_with}: {UPDATE}"]


def replaceable(stored: Entry | None, made_with: dict[str, Any], numbers: Numbers) -> bool:
    """Whether the new run may take the place of the stored one.

    New numbers need a raised integer or another default. An integer is never lowered.
    """
    if stored is None:
        return True
    before, now = stored["made_with"]["numerics"], made_with["numerics"]
    if any(now.get(part, 0) < integer for part, integer in before.items()):
        return False
    changed = stored["made_with"]["defaults"] != made_with["defaults"]
    raised = any(integer > before.get(part, 0) for part, integer in now.items())
    return changed or raised or not differences(numbers, stored)
