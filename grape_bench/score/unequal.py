"""What should be equal for all runs of a task, but is not part of a job's identity: threads, and data behind a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from grape_bench.record.record import Record


def unequal_notes(records: Iterable[Record]) -> list[str]:
    """One line per task whose results on CPUs had different threads, or whose runs read different data."""
    by_task: dict[str, list[Record]] = {}
    for record in records:
        if record.status.is_result:
            by_task.setdefault(record.task, []).append(record)
    notes = []
    for task, runs in by_task.items():
        threads = _by([run for run in runs if run.on_cpu], lambda run: str(run.environment.hardware.threads))
        if len(threads) > 1:
            named = " and ".join(f"{count} ({', '.join(rules)})" for count, rules in sorted(threads.items()))
            notes.append(f"{task}: the runs had different CPU threads, which changes last digits: {named}")
        data = _by(runs, _data)
        if len(data) > 1:
            named = "; ".join(", ".join(rules) for rules in data.values())
            notes.append(f"{task}: the content of the data set {runs[0].job.dataset} differs between runs: {named}")
    return notes


def _data(record: Record) -> str:
    return str(record.data.more.get("fingerprint", "")) if record.data else ""


def _by(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[str]]:
    """The rules of the records by the value of `key`, without records that have none."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if key(record):
            found.setdefault(key(record), {})[record.job.rule_name.label] = None
    return {value: list(rules) for value, rules in found.items()}
