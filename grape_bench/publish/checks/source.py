"""The rule that ran is the rule on the card, and exactly the user's own files are there."""

from __future__ import annotations

from collections.abc import Iterator
from filecmp import cmp
from pathlib import Path

from grape_bench.publish.code import code_of, published_code
from grape_bench.publish.submission import CODE, SOURCE, Submission
from grape_bench.rules.names import RULES
from grape_bench.user_code import user_code


def problems(submission: Submission) -> Iterator[str]:
    """Check that all runs used the card's source, and that all of the user's code comes with the publication."""
    card, folder = submission.card, submission.folder
    for name, record in submission.own.items():
        source = record.job.rule_source
        if source != card.source:
            yield f"{name}: the run used source {source}, but rule.toml says {card.source}"
    yield from _rule(submission)
    used: set[Path] = set()
    jobs = [record.job for record in submission.records.values()]
    for reference, digest in sorted({pair for job in jobs for pair in code_of(job).items()}):
        copy = published_code(folder, reference, digest) if digest else None
        if copy is not None:
            used.update(user_code(copy).files.values())
        elif digest:
            yield f"{CODE}/{digest} is missing or has another hash: the file of {reference}"
    for path in sorted((folder / CODE).rglob("*.py")):
        if path.resolve() not in used:
            yield f"{path.relative_to(folder).as_posix()!a} belongs to no run"


def _rule(submission: Submission) -> Iterator[str]:
    """The rule ships with grape-bench, or the publication holds its file and shows it as source.py."""
    names = {record.rule: record.job.rule_name for record in submission.own.values()}
    for name in names.values():
        if not name.file and name.base not in RULES.shipped:
            yield f"{name.base!a} comes from an installed package: publish runs of its file, `file.py:Class`"
    rule = next((name for name in names.values() if name.file), None)
    shown = submission.folder / SOURCE
    if rule is None:
        if shown.exists():
            yield f"{SOURCE} belongs to no run, because the rule ships with grape-bench"
        return
    copy = published_code(submission.folder, rule.reference, submission.card.source)
    if copy is not None and (shown.is_symlink() or not shown.is_file() or not cmp(shown, copy, shallow=False)):
        yield f"{SOURCE} is not the rule's file in {CODE}/{submission.card.source}"
