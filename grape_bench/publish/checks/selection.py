"""The test split was not used for any choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grape_bench.plan.tuning import stated_space
from grape_bench.publish.checks.suite import suite_of
from grape_bench.publish.submission import Submission


def problems(submission: Submission) -> Iterator[str]:
    """Check the card, the curves (no test numbers) and the records (no trials of a search)."""
    if submission.card.selected_on != "validation":
        yield f"rule.toml: selected_on = {submission.card.selected_on!r}, not 'validation'"
    if (space := _space(submission)) is not None and submission.card.space not in space:
        yield f"rule.toml: the space is {submission.card.space}, but the suite gives {space[0]}"
    for name, curve in submission.curves.items():
        if columns := sorted(column for column in curve.columns if "test" in column):
            yield f"{name}: curve.csv has columns of the test split: {', '.join(columns)}"
    for name, record in submission.records.items():
        if record.job.trial is not None:
            yield f"{name}: this is a trial of a search, not a result"
        trials = record.job.trials
        if name in submission.own and record.job.rule_name.is_open:
            yield f"{name}: open settings are not a submission, because any number of trials may have chosen them"
        if name in submission.own and trials != max(1, submission.card.trials):
            yield f"{name}: the settings come from {trials} trials, but rule.toml says {submission.card.trials}"


def _space(submission: Submission) -> list[dict[str, Any]] | None:
    """The search spaces that the card may state. Earlier versions wrote the space that the suite has for all rules."""
    suite = suite_of(submission)
    if suite is None or not submission.own:
        return None
    if suite.tuning is None or submission.card.trials <= 1:
        return [{}]
    rule = next(iter(submission.own.values())).rule
    shared = {name: axis.model_dump(exclude_none=True) for name, axis in suite.tuning.space.items()}
    return [stated_space(suite, rule), shared]
