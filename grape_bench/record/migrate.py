"""Migrate records with an older schema to the current one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Content = dict[str, Any]  # the JSON object of a record


def _from_1(record: Content) -> Content:
    """Schema 2 uses null for what was not measured: a profile's FLOPs, the declared share of BP, diagnostics."""
    profile = {"flops": None, **record["profile"]} if record.get("profile") else None
    credit = {"declared_bp_fraction": None, **record["credit"]} if record.get("credit") else None
    return {"diagnostics": None, **record, "profile": profile, "credit": credit}


def _from_2(record: Content) -> Content:
    """Schema 3 adds to a profile the split of time and memory, the parallel speedup, and energy."""
    unknown = dict.fromkeys(("split", "holders", "speedup", "pipeline", "energy"))
    return {**record, "profile": {**unknown, **record["profile"]} if record.get("profile") else None}


# From each schema to the next.
STEPS: dict[int, Callable[[Content], Content]] = {1: _from_1, 2: _from_2}


def migrated(record: Content, schema: int) -> Content:
    """`record` migrated to `schema`. The file that it came from does not change."""
    while record["schema"] < schema:
        record = {**STEPS[record["schema"]](record), "schema": record["schema"] + 1}
    return record
