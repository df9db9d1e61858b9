"""The rule that ran is the rule on the card."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from grape_bench.publish.submission import SOURCE, Submission


def problems(submission: Submission) -> Iterator[str]:
    """One source for all runs of the rule; where it is not one of grape-bench's, its file is published too."""
    card = submission.card
    for name, record in submission.own.items():
        source = record.job.rule_source
        if source != card.source:
            yield f"{name}: ran the source {source}, in rule.toml {card.source}"
    file = submission.folder / SOURCE
    if file.is_file() and not file.is_symlink():
        if (found := sha256(file.read_bytes()).hexdigest()[:16]) != card.source:
            yield f"{SOURCE} has the hash {found}, in rule.toml {card.source}"
    elif any(record.job.rule_name.file for record in submission.own.values()):
        yield f"{SOURCE} is missing: the rule is not one of grape-bench's"
