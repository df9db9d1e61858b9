"""The test split was not used for any choice."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.submission import Submission


def problems(submission: Submission) -> Iterator[str]:
    """Check the card, the curves (no test numbers) and the records (no trials of a search)."""
    if submission.card.selected_on != "validation":
        yield f"rule.toml: selected_on = {submission.card.selected_on!r}, not 'validation'"
    for name, curve in submission.curves.items():
        if columns := sorted(column for column in curve.columns if "test" in column):
            yield f"{name}: curve.csv has columns of the test split: {', '.join(columns)}"
    for name, record in submission.records.items():
        if record.job.trial is not None:
            yield f"{name}: this is a trial of a search, not a result"
        trials = record.job.trials
        if name in submission.own and trials != max(1, submission.card.trials):
            yield f"{name}: the settings come from {trials} trials, but rule.toml says {submission.card.trials}"
