"""The rule that ran is the rule on the card."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from grape_bench.publish.submission import SOURCE, Submission


def problems(submission: Submission) -> Iterator[str]:
    """Check that all runs used the card's source, and that a user's rule comes with its file."""
    card = submission.card
    for name, record in submission.own.items():
        source = record.job.rule_source
        if source != card.source:
            yield f"{name}: the run used source {source}, but rule.toml says {card.source}"
    file = submission.folder / SOURCE
    if file.is_file() and not file.is_symlink():
        if (found := sha256(file.read_bytes()).hexdigest()[:16]) != card.source:
            yield f"{SOURCE} has the hash {found}, but rule.toml says {card.source}"
    elif any(record.job.rule_name.file for record in submission.own.values()):
        yield f"{SOURCE} is missing, and the rule does not ship with grape-bench"
