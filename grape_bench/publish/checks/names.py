"""No name can be mistaken for another one."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.plan.find import suite_files
from grape_bench.publish.confusable import flaw, lookalike
from grape_bench.publish.index import VERIFICATIONS
from grape_bench.publish.submission import RUNS, Submission
from grape_bench.rules.names import RULES

RESERVED = (RUNS, VERIFICATIONS)
"""Names in results/SUITE, and in results, that hold the maintainers' own runs."""


def problems(submission: Submission) -> Iterator[str]:
    """Check the names of the rules and of the suite: their characters, and that they look like no other name."""
    jobs = [record.job for record in submission.records.values()]
    rules = {job.rule: job.rule_name for job in jobs}
    labels = {submission.card.name, *(name.label for name in rules.values())}
    for label in sorted(labels):
        if why := flaw(label):
            yield f"rule {why}"
        if label in RESERVED:
            yield f"the rule {label!r} has the name of a folder of results"
    for name in rules.values():
        label = name.label
        twin = lookalike(name.base, RULES.shipped)
        if twin and (name.file or name.base != twin):
            yield f"the rule {label!a} can be mistaken for {twin}, which ships with grape-bench"
        other = lookalike(label, sorted(labels - {label}))
        if other:
            yield f"the rule {label!a} can be mistaken for {other!a}"
    suites = suite_files()
    for suite in sorted({str(submission.suite.get("name")), *(job.suite for job in jobs)}):
        twin = lookalike(suite, suites)
        if suite not in suites and twin:
            yield f"the suite {suite!a} can be mistaken for {twin}, which ships with grape-bench"
