"""Nothing was chosen on the test split."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.submission import Submission


def problems(submission: Submission) -> Iterator[str]:
    """The card's word, no test numbers during training, and no trial of a search among the results."""
    if submission.card.selected_on != "validation":
        yield f"rule.toml: selected_on = {submission.card.selected_on!r}, not 'validation'"
    for name, curve in submission.curves.items():
        if columns := sorted(column for column in curve.columns if "test" in column):
            yield f"{name}: curve.csv has the test split in it: {', '.join(columns)}"
    for name, record in submission.records.items():
        if record.job.trial is not None:
            yield f"{name}: a trial of a search, not a result"
        trials = record.job.trials
        if name in submission.own and trials != max(1, submission.card.trials):
            yield f"{name}: settings from a search of {trials} trials, in rule.toml {submission.card.trials}"
