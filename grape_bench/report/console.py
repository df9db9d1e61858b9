"""The console of every table in a terminal. Text is text: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

from grape_bench.errors import printable, redacted


class PlainConsole(Console):
    """A console that escapes what a terminal would obey. Only its own codes for colors and the cursor pass."""

    def __init__(self, **more: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **more)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, with the text of each escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(redacted(segment.text)), segment.style)
