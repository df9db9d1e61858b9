"""All runs of a task had the same data, metric and model, and all runs the same packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from grape_bench.publish.baselines import baseline_records
from grape_bench.publish.submission import Submission
from grape_bench.record.job import canonical
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.record.shared import EVERY_JOB
from grape_bench.record.typed_json import encode

Fact = Callable[[Record], Any]


def _python(record: Record) -> str:
    return ".".join(record.environment.python.split(".")[:2])


def _packages(record: Record) -> dict[str, str]:
    return {name: version for name, version in record.environment.packages.items() if name != "grape-bench"}


def _parameters(record: Record) -> int | None:
    counted = record.network.parameters if record.network else None
    return counted.rule + counted.exact + counted.frozen if counted else None


def _weights(record: Record) -> int | None:
    return record.profile.holders.weights if record.profile and record.profile.holders else None


def _steps(record: Record) -> tuple[int, int] | None:
    fitted = record.rule == FROZEN or record.result is None  # a diverged run stops early
    return (record.time.steps, record.time.samples) if record.time and not fitted else None


def _sizes(record: Record) -> dict[str, Any] | None:
    data = record.data
    return {"sizes": dict(data.sizes), "classes": data.more.get("classes")} if data else None


ON_A_TASK: Mapping[str, Fact] = {
    "the metric": lambda record: encode(record.metric),
    "the data": lambda record: encode(record.data),
    "the number of parameters": _parameters,
    "the size of the weights": _weights,
    "BP's FLOPs": lambda record: record.profile.flops.bp if record.profile and record.profile.flops else None,
    "the number of steps and samples": _steps,
}
"""The facts on which all runs of a task agree. None means that a run did not measure it."""

ON_A_RULE: Mapping[str, Fact] = {
    "the network": lambda record: encode(record.network),
    "the declared use of backpropagation": lambda record: record.credit and record.credit.declared_bp_fraction,
    "the rule's own memory": lambda record: record.profile and encode(record.profile.holders),
}
"""The facts on which all seeds of a rule on a task agree."""

SHIPPED: Mapping[str, Fact] = {
    name: ON_A_TASK[name]
    for name in ("the metric", "the number of parameters", "the size of the weights", "the number of steps and samples")
} | {"the size of the data": _sizes}
"""The facts that also agree with the maintainers' runs of the same suite."""

EVERYWHERE: Mapping[str, Fact] = {"Python": _python, "the packages": _packages}


def problems(submission: Submission) -> Iterator[str]:
    """Find rows that were not made under the same conditions, also compared with the maintainers' runs of the suite."""
    records = [record for record in submission.records.values() if record.status.is_result]
    yield from _differing("", records, EVERYWHERE)
    by_task = _by(records, lambda record: record.task)
    for task, rows in by_task.items():
        yield from _differing(f"{task}: ", rows, ON_A_TASK)
        for label, seeds in _by(rows, lambda record: record.job.rule_name.label).items():
            yield from _differing(f"{task}, {label!a}: ", seeds, ON_A_RULE)
        shipped = _shipped(rows[0])
        yield from _differing(f"{task}, with the maintainers' runs: ", [*rows, *shipped], SHIPPED if shipped else {})


def _shipped(row: Record) -> list[Record]:
    """The maintainers' runs of a row's task that the same engine made."""
    engine = [row.job.numerics.get(part, 1) for part in EVERY_JOB]
    shipped = [one for one in baseline_records(row.suite, row.job.version) if one.task == row.task]
    return [one for one in shipped if [one.job.numerics.get(part, 1) for part in EVERY_JOB] == engine]


def _differing(where: str, records: Iterable[Record], facts: Mapping[str, Fact]) -> Iterator[str]:
    """A line for each fact that is not equal in all records that have it, or that only some records lack."""
    every = list(records)
    for name, fact in facts.items():
        values: dict[str, dict[str, None]] = {}
        for record in every:
            if (value := fact(record)) is not None:
                values.setdefault(canonical(value), {})[record.job.rule_name.label] = None
        if len(values) > 1:
            rules = "; ".join(", ".join(map(ascii, of)) for of in values.values())
            yield f"{where}{name} differs between {rules}"


def _by(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
