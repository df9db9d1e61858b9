"""A search for settings: the best trial, the file of settings, and what fewer trials would have found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from grape_bench.plan.job import make_job
from grape_bench.plan.numerics import parts
from grape_bench.plan.suite import Suite, Task
from grape_bench.plan.tuned import Trial, TunedRule, TunedTask, tuned_file
from grape_bench.plan.tuning import SAMPLER, points, space_of, tuning_of
from grape_bench.record.record import Record, now
from grape_bench.record.typed_json import encode
from grape_bench.record.write import write_json
from grape_bench.score.metric import METRICS, Metric


def complete(trials: Sequence[Record]) -> bool:
    """True if every trial has a result. A crashed trial would leave its rule with a smaller search."""
    return all(record.status.is_result for record in trials)


def validation_loss(record: Record) -> float | None:
    """A trial's validation loss in nats; None if it diverged or is not finite."""
    return record.result.validation_loss if record.result else None


def best(trials: Sequence[Record]) -> Record:
    """The trial with the best validation metric. Ties go to the lowest validation loss, then to the first trial."""

    def merit(record: Record) -> tuple[float, float]:
        loss = validation_loss(record)
        return METRICS[record.scored_by.name].score(record.validation), -math.inf if loss is None else -loss

    return max(trials, key=merit)


def chosen(suite: Suite, trials: Sequence[Record]) -> TunedRule:
    """The outcome of one rule's search. `trials` are its trials on all tasks of `suite`, each with a result."""
    first = trials[0]
    return TunedRule(
        schema=1,
        suite=suite.name,
        version=suite.version,
        rule=first.job.rule_name.label,
        rule_source=first.job.rule_source,
        numerics={name: integer for record in trials for name, integer in parts(record.job).items()},
        trials=tuning_of(suite).trials,
        budget=tuning_of(suite).budget,
        space=space_of(suite, first.rule),
        sampler=SAMPLER,
        seeds=sorted({record.seed for record in trials}),
        tasks={
            task.name: _choice(suite, task, [record for record in trials if record.task == task.name])
            for task in suite.tasks_of(first.rule)
        },
        git=encode(first.environment.git),
        hardware=sorted({record.environment.hardware.kind for record in trials}),
        packages=dict(first.environment.packages),
        date=now(),
    )


def write(tuned: TunedRule, folder: Path) -> Path:
    """Write `tuned` atomically into its suite's `folder`. Returns the path of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = tuned_file(folder, tuned.rule)
    write_json(path, tuned.to_dict())
    return path


def best_of_k(every: Iterable[TunedRule]) -> pd.DataFrame:
    """One row per task, rule and k: the expected validation value of the best of k trials."""
    rows = [
        {"task": task, "rule": tuned.rule, "k": k, choice.metric: value}
        for tuned in every
        for task, choice in tuned.tasks.items()
        for k, value in enumerate(curve(choice), start=1)
    ]
    return pd.DataFrame(rows).sort_values(["task", "rule", "k"], kind="stable", ignore_index=True)


def curve(choice: TunedTask) -> list[float]:
    """The expected best of k trials, for k from 1 to the number of trials."""
    return expected_best([trial.validation for trial in choice.trials], METRICS[choice.metric])


def _choice(suite: Suite, task: Task, records: Sequence[Record]) -> TunedTask:
    rule = records[0].rule
    settings = points(space_of(suite, rule), len(records))
    in_order = sorted(records, key=lambda record: record.job.trial or 0)
    trials = [
        Trial(
            settings=found,
            status=record.status,
            validation=record.validation,
            validation_loss=validation_loss(record),
        )
        for found, record in zip(settings, in_order, strict=True)
    ]
    number = best(in_order).job.trial or 0
    return TunedTask(
        definition=make_job(suite, task, rule, 0).definition,
        metric=records[0].scored_by.name,
        trial=number,
        settings=settings[number],
        trials=trials,
    )


def expected_best(values: Sequence[float], metric: Metric) -> list[float]:
    """The expected best of k trials, for k = 1 to T: the mean over all subsets of k of the T `values` of their best.

    This is exact (Dodge et al. 2019, "Show your work", without replacement): the i-th lowest score is the highest in
    C(i - 1, k - 1) of the C(T, k) subsets. The mean is taken on the scale of scores.

        accuracies 1, 2, 4, k = 2: subsets {1, 2}, {1, 4}, {2, 4} with bests 2, 4, 4 -> 10/3
    """
    ordered, total = sorted(map(metric.score, values)), len(values)
    return [
        metric.value(sum(score * math.comb(rank, k - 1) for rank, score in enumerate(ordered)) / math.comb(total, k))
        for k in range(1, total + 1)
    ]
