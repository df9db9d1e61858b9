"""Progress of a run in a notebook: one output area of the cell, updated in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.text import Text
from typing_extensions import override

from grape_bench.cli.display import SweepProgress, opening, result_line
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.report.console import cell_html, cell_text


class Notebook(SweepProgress):
    """A sweep's progress in one output area of the running cell. Warnings and failures stay in it, below the jobs."""

    def __init__(self) -> None:
        super().__init__()
        self._opening = ""
        self._kept: list[Text] = []
        self._handle: Any = None  # IPython's display handle, once there is something to show
        self._shown = ""

    @override
    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        super().began(done, pending, slots)
        self._opening = opening(done, pending, slots)
        self._show()

    @override
    def warned(self, text: str) -> None:
        self._kept.append(Text(f"warning: {text}", style="yellow"))
        self._show()

    @override
    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        super().progressed(progress)
        self._show()

    @override
    def ended(self, record: Record) -> None:
        super().ended(record)
        if record.status is not Status.FINISHED:
            self._kept.append(Text(result_line(record), style="red"))
        self._show()

    @override
    def closed(self) -> None:
        super().closed()
        self._show()

    def _show(self) -> None:
        """Draw the area, or redraw it if its content changed."""
        from IPython.display import display  # only a kernel uses this display, and it runs in IPython

        jobs = [Text(self._opening), self.render()] if self._total else []  # a warning may come before the start
        shown = Group(*jobs, *self._kept)
        html = cell_html(shown)
        if html == self._shown:
            return
        self._shown, content = html, {"text/html": html, "text/plain": cell_text(shown)}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
