"""The log of all runs, with dates, machines and outcomes: makes the table of results/LOG.md from the records.

python -m benchmarks.log
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks import page
from grape_bench.record.folder import read_folder
from grape_bench.record.manifest import MANIFEST
from grape_bench.record.record import Record
from grape_bench.report.markdown import pipe_table

RESULTS = Path(__file__).parents[1] / "results"
HEADINGS = ("suite", "from", "to", "jobs", "core-hours", "hardware", "PyTorch", "commit")


def row(suite: str, records: list[Record]) -> tuple[str, ...]:
    """One suite: days, outcomes, hours by the jobs' clocks, and where it ran."""
    ended = Counter(record.status for record in records)
    places = [record.environment for record in records]
    return (
        f"[{suite}]({suite})",
        min(record.started for record in records)[:10],
        max(record.ended for record in records)[:10],
        ", ".join(f"{count} {status}" for status, count in sorted(ended.items())),
        f"{core_hours(records):.1f}",
        "; ".join(sorted({place.hardware.kind.partition(" (")[0] for place in places})),
        "; ".join(sorted({place.packages["torch"] for place in places})),
        "; ".join(sorted({place.git.commit[:7] for place in places if place.git})) or "unknown",
    )


def core_hours(records: Iterable[Record]) -> float:
    """The hours of all jobs by their own clocks, times their threads."""
    seconds = sum(record.time.total_s * (record.environment.hardware.threads or 1) for record in records if record.time)
    return seconds / 3600


def table() -> str:
    """The Markdown table of all suites in results/, the oldest first."""
    folders = [folder for folder in RESULTS.glob("*/runs") if (folder / MANIFEST).is_file()]
    rows = [row(folder.parent.name, read_folder(folder).records) for folder in folders]
    return pipe_table(HEADINGS, sorted(rows, key=lambda one: (one[1], one[0])), [True] * 3 + [False] * 2 + [True] * 3)


def main() -> None:
    """Write the table into results/LOG.md."""
    page.write("../results/LOG.md", "log", f"\n{table()}\n")


if __name__ == "__main__":
    main()
