"""The versions of a suite's recorded results: the one in use, and those that it replaced.

A superseded version stays in `results/superseded/SUITE@VERSION/runs`, so that a table that cites it can be checked. It
is shown on a page of its own. It is never a reference, and nothing is ranked in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from grape_bench.track.references import SUPERSEDED
from grape_bench.track.runs import Runs, read_runs


@dataclass(frozen=True)
class Edition:
    """One version of a suite's results: its name, the version, and the day on which the last run ended."""

    name: str
    version: str
    date: str
    runs: Runs

    @classmethod
    def of(cls, name: str, runs: Runs) -> Edition:
        """The version that `runs`, at least one, belong to."""
        return cls(name, runs.records[0].job.version, max(record.ended for record in runs.records)[:10], runs)


def superseded(root: Path, suite: str) -> Sequence[Edition]:
    """The versions of `suite` in the results `root` that another one replaced, the last one first."""
    folders = (root / SUPERSEDED).glob(f"{escape(suite)}@*/")
    found = [Edition.of(folder.name, read_runs(folder)) for folder in folders]
    return sorted(found, key=lambda edition: (edition.date, edition.name), reverse=True)
