"""The results of checking a rule."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 80
_INDENT = 35  # column where the details begin


@dataclass(frozen=True)
class Result:
    """One check on one model. `detail` says what was measured, or why the check failed.

    If the rule declares that it makes no sense for the model, `applies` is False and `detail` is the rule's reason.
    """

    case: str
    check: str
    ok: bool
    detail: str
    applies: bool = True

    @property
    def verdict(self) -> str:
        """One word, or a dash if the rule does not apply."""
        return ("ok" if self.ok else "FAILED") if self.applies else "-"

    def __str__(self) -> str:
        """Format as a line of at most 80 columns. A longer detail wraps to further lines."""
        head = f"{self.case:<9}{self.check:<18}{self.verdict:<8}"
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
    def ran(self) -> list[Result]:
        """The results on the models to which the rule applies."""
        return [result for result in self.results if result.applies]

    @property
    def ok(self) -> bool:
        """Whether checks ran and all of them passed."""
        return bool(self.ran) and not self.failed

    def __str__(self) -> str:
        if not self.ran:
            return "does not apply to any of the models, so nothing was checked"
        ran, failed = len(self.ran), len(self.failed)
        verdict = f"{ran} checks, {failed} failed" if failed else f"all {ran} checks passed"
        elsewhere = ", ".join(result.case for result in self.results if not result.applies)
        return f"{verdict}; does not apply to {elsewhere}" if elsewhere else verdict
