"""A network with its rule, as a notebook shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

from grape_bench.network.block import Block
from grape_bench.network.reach import Credit

CELL = "text-align: left; padding: 0.1em 1em 0.1em 0"


def html(title: str, blocks: Iterable[Block], report: Mapping[str, Credit]) -> str:
    """A table with a row per block (name, shape per sample, numbers), and how many parameters get which gradient."""
    rows = [("block", "shape", "numbers", "cut")]
    rows += [(one.name, " × ".join(map(str, one.shape)), f"{one.size:,}", one.where) for one in blocks]
    lines = ["".join(f'<td style="{CELL}">{escape(text)}</td>' for text in row) for row in rows]
    counts = ", ".join(f"{count} {credit}" for credit, count in Counter(report.values()).items())
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<b>{escape(title)}</b><table>{table}</table>gradients of parameters: {escape(counts)}"
