"""The console for every table in a terminal or notebook. It prints text without markup or control characters."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

from grape_bench.errors import printable, redacted

CELL = 110
"""Columns of the output of a notebook's cell."""


class PlainConsole(Console):
    """A console that escapes control codes in text. Only its own codes for colors and the cursor pass."""

    def __init__(self, **more: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **more)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, with the text of each escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(redacted(segment.text)), segment.style)


def cell_html(shown: RenderableType) -> str:
    """`shown` for the output of a notebook's cell. Its text is escaped."""
    return _recorded(shown).export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def cell_text(shown: RenderableType) -> str:
    """The same as plain text."""
    return _recorded(shown).export_text()


def _recorded(shown: RenderableType) -> PlainConsole:
    # The file is not a terminal, and a progress bar draws its empty part only in a console with colors.
    console = PlainConsole(width=CELL, record=True, file=io.StringIO(), force_jupyter=False, color_system="truecolor")
    console.print(shown)
    return console
