"""A table of a network and its rule, as text and as HTML for notebooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Protocol

from torch import nn

from grape_bench.network.block import Block
from grape_bench.network.owned import OwnedModules
from grape_bench.network.reach import HEAD, Credit

CELL = "text-align: left; padding: 0.1em 1em 0.1em 0"
Row = tuple[str, str, str, str, str]


class Attached(Protocol):
    """What the table needs from a network."""

    model: nn.Module
    rule: Any
    blocks: list[Block]
    segments: dict[str, set[str]]
    output_shape: tuple[int, ...]
    owned: OwnedModules

    def report(self) -> dict[str, Credit]:
        """What each parameter gets."""


def title(network: Attached) -> str:
    """The line above the table: what is trained, and how."""
    return f"{type(network.model).__name__} with {type(network.rule).__name__}"


def rows(network: Attached) -> list[Row]:
    """The heading, and a row per block and for the head: name, output per sample, cut, trainable numbers, gradients.

    The parameters of a row are those between its cut and the cuts below. A shared parameter counts in several rows.
    """
    report, model = network.report(), dict(network.model.named_parameters())
    found: list[Row] = [("block", "output", "cut", "trainable", "gradients")]

    def row(name: str, shape: tuple[int, ...], where: str, segment: str) -> Row:
        names = [one for one in network.segments.get(segment, ()) if one in report]
        numbers = sum(model[one].numel() for one in names if report[one] != "frozen")
        return name, " × ".join(map(str, shape)), where, f"{numbers:,}", counted(report[one] for one in names)

    found += [row(block.name, block.shape, block.where, block.name) for block in network.blocks]
    found.append(row("(head)", network.output_shape, "", HEAD))
    owned = dict(network.owned.named_parameters())
    if owned:
        numbers = sum(parameter.numel() for parameter in owned.values())
        found.append(("(owned)", "", "", f"{numbers:,}", f"{len(owned)} owned"))
    return found


def text(network: Attached) -> str:
    """The table with aligned columns, and a line for the whole model."""
    found = rows(network)
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in found]
    return "\n".join([title(network), *lines, f"gradients of parameters: {totals(network.report())}"])


def html(network: Attached) -> str:
    """`text` as HTML, for notebooks."""
    lines = ["".join(f'<td style="{CELL}">{escape(cell)}</td>' for cell in row) for row in rows(network)]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    totaled = escape(totals(network.report()))
    return f"<b>{escape(title(network))}</b><table>{table}</table>gradients of parameters: {totaled}"


def totals(report: Mapping[str, str]) -> str:
    """How many parameters get which kind of gradient."""
    return counted(report.values())


def counted(credits: Iterable[str]) -> str:
    """The number of each kind, such as "4 rule, 2 exact"."""
    return ", ".join(f"{count} {credit}" for credit, count in Counter(credits).items())
