"""The results of checking a rule."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 80
_INDENT = 35  # where the details begin


@dataclass(frozen=True)
class Result:
    """One check on one model. `detail` says what was measured, or why the check failed."""

    case: str
    check: str
    ok: bool
    detail: str

    def __str__(self) -> str:
        """Format as a line of at most 80 columns. A longer detail wraps to further lines."""
        head = f"{self.case:<9}{self.check:<18}{'ok' if self.ok else 'FAILED':<8}"
        return textwrap.fill(self.detail, WIDTH, initial_indent=head, subsequent_indent=" " * _INDENT)


@dataclass(frozen=True)
class Report:
    """The results of all checks on all models."""

    results: Sequence[Result]

    @property
    def failed(self) -> list[Result]:
        """The results of the checks that failed."""
        return [result for result in self.results if not result.ok]

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return not self.failed

    def __str__(self) -> str:
        return (
            f"{len(self.results)} checks, {len(self.failed)} failed"
            if self.failed
            else f"all {len(self.results)} checks passed"
        )
