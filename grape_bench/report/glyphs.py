"""Text for a medium that lacks some characters. They become their numbers, so that different names stay different."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby


def spelled(text: str, has: Callable[[str], bool]) -> str:
    """`text`, with characters that the medium does not have as their Unicode numbers: `规则` is `[89c4 5219]`."""
    parts = []
    for present, group in groupby(text, has):
        run = "".join(group)
        parts.append(run if present else f"[{' '.join(f'{ord(character):x}' for character in run)}]")
    return "".join(parts)
