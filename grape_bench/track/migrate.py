"""Records of older versions as this version writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Record = dict[str, Any]


def _from_1(record: Record) -> Record:
    """Schema 2 says with null what there was not: a profile's FLOPs, the declared share of BP, diagnostics."""
    profile = {"flops": None, **record["profile"]} if record.get("profile") else None
    credit = {"declared_bp_fraction": None, **record["credit"]} if record.get("credit") else None
    return {"diagnostics": None, **record, "profile": profile, "credit": credit}


def _from_2(record: Record) -> Record:
    """Schema 3 has in a profile where time and memory go, what could run side by side, and energy."""
    unknown = dict.fromkeys(("split", "holders", "speedup", "pipeline", "energy"))
    return {**record, "profile": {**unknown, **record["profile"]} if record.get("profile") else None}


# From each schema to the next.
STEPS: dict[int, Callable[[Record], Record]] = {1: _from_1, 2: _from_2}


def migrated(record: Record, schema: int) -> Record:
    """`record`, of a schema up to `schema`, as one of `schema`; the file it came from is left as it is."""
    while record["schema"] < schema:
        record = {**STEPS[record["schema"]](record), "schema": record["schema"] + 1}
    return record
