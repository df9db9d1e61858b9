"""Records with an older schema, as this version writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Content = dict[str, Any]  # the JSON object of a record


def _from_1(record: Content) -> Content:
    """Schema 2 has a null for what was not measured: a profile's FLOPs, the declared share of BP, diagnostics."""
    profile = {"flops": None, **record["profile"]} if record.get("profile") else None
    credit = {"declared_bp_fraction": None, **record["credit"]} if record.get("credit") else None
    return {"diagnostics": None, **record, "profile": profile, "credit": credit}


def _from_2(record: Content) -> Content:
    """Schema 3 adds to a profile where time and memory go, what could run in parallel, and energy."""
    unknown = dict.fromkeys(("split", "holders", "speedup", "pipeline", "energy"))
    return {**record, "profile": {**unknown, **record["profile"]} if record.get("profile") else None}


# From each schema to the next.
STEPS: dict[int, Callable[[Content], Content]] = {1: _from_1, 2: _from_2}


def migrated(record: Content, schema: int) -> Content:
    """`record`, whose schema is at most `schema`, as one with `schema`; the file that it came from is not changed."""
    while record["schema"] < schema:
        record = {**STEPS[record["schema"]](record), "schema": record["schema"] + 1}
    return record
