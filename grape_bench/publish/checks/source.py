"""The rule that ran is the rule on the card, and the user's own files are there."""

from __future__ import annotations

from collections.abc import Iterator
from filecmp import cmp

from grape_bench.publish.code import code_of, published_code
from grape_bench.publish.submission import CODE, SOURCE, Submission


def problems(submission: Submission) -> Iterator[str]:
    """Check that all runs used the card's source, and that all of the user's code comes with the publication."""
    card, folder = submission.card, submission.folder
    for name, record in submission.own.items():
        source = record.job.rule_source
        if source != card.source:
            yield f"{name}: the run used source {source}, but rule.toml says {card.source}"
    rule = next((record.job.rule_name for record in submission.own.values() if record.job.rule_name.file), None)
    if rule:
        copy, shown = published_code(folder, rule.reference, card.source), folder / SOURCE
        if copy is None:
            yield f"{CODE}/{card.source} is missing or has another hash, and the rule does not ship with grape-bench"
        elif shown.is_symlink() or not shown.is_file() or not cmp(shown, copy, shallow=False):
            yield f"{SOURCE} is not the rule's file in {CODE}/{card.source}"
    elif (folder / SOURCE).exists():
        yield f"{SOURCE} belongs to no run, because the rule ships with grape-bench"
    jobs = [record.job for record in submission.records.values()]
    for reference, digest in sorted({pair for job in jobs for pair in code_of(job).items()}):
        if (rule is None or reference != rule.reference) and digest and not published_code(folder, reference, digest):
            yield f"{CODE}/{digest} is missing or has another hash: the file of {reference}"
