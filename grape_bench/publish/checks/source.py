"""The rule that ran is the rule on the card, and the user's own files are there."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from grape_bench.publish.submission import OBJECTIVES, SOURCE, Submission
from grape_bench.registry import is_file_reference


def problems(submission: Submission) -> Iterator[str]:
    """Check that all runs used the card's source, and that a user's rule and objectives come with their files."""
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
    jobs = [record.job for record in submission.records.values()]
    for source in sorted({job.objective_source for job in jobs if job.objective and is_file_reference(job.objective)}):
        path = submission.folder / OBJECTIVES / f"{source}.py"
        if not path.is_file() or path.is_symlink():
            yield f"{OBJECTIVES}/{source}.py is missing, and a task's objective does not ship with grape-bench"
        elif (found := sha256(path.read_bytes()).hexdigest()[:16]) != source:
            yield f"{OBJECTIVES}/{source}.py has the hash {found}"
