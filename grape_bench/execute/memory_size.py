"""Amounts of memory as people write them."""

from __future__ import annotations

import re

from grape_bench.errors import UserError

_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_FORM = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)")


def parse_bytes(text: str, *, where: str = "") -> int:
    """The bytes that `text` means, such as `800MB` or `2.5 GiB`; raises UserError."""
    match = _FORM.fullmatch(text)
    if match is None or match[2] not in _UNITS or float(match[1]) == 0:
        raise UserError(f"{text!r} is not an amount of memory", where=where, allowed="such as 800MB, 2GB, 2.5GiB")
    return round(float(match[1]) * _UNITS[match[2]])


def in_units(size: int) -> str:
    """Such as `512 MiB` or `2.50 GiB`."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
