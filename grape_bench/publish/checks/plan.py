"""Every job of the suite's plan is there: all tasks and seeds, of the rule and of each reference."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.checks.suite import suite_of
from grape_bench.publish.submission import Submission
from grape_bench.record.rule_name import RuleName
from grape_bench.score.references import REFERENCE_RULES

SHOWN = 5  # seeds in a message


def problems(submission: Submission) -> Iterator[str]:
    """Compare the records with the plan. Each rule has the seeds 0, 1, 2 ... on each task, all equally many.

    A task with its own number of seeds may have fewer.
    """
    suite = suite_of(submission)
    if suite is None:
        return  # the check `suite` says why
    own, listed = submission.card.name, {RuleName.parse(rule).label for rule in suite.rules}
    wanted = [own, *(rule for rule in REFERENCE_RULES if rule != own and (rule == "bp" or rule in listed))]
    found: dict[tuple[str, str], list[int]] = {}
    for record in submission.records.values():
        found.setdefault((record.task, record.job.rule_name.label), []).append(record.seed)
    count = max([suite.seeds, *map(len, found.values())])
    for task in suite.tasks:
        most = max(min(count, task.seeds or count), *(len(found.get((task.name, rule), [])) for rule in wanted))
        for rule in (one for one in wanted if one == own or task.has(one)):
            yield from _unplanned(f"{task.name}, {rule}", found.get((task.name, rule), []), most)
    if others := sorted({rule for _, rule in found} - {own, *REFERENCE_RULES}):
        yield f"rules that are neither {own!a} nor a reference: {', '.join(map(ascii, others))}"
    if len(names := {record.rule for record in submission.own.values()}) > 1:
        yield f"the rule comes from more than one file: {', '.join(sorted(map(ascii, names)))}"


def _unplanned(where: str, seeds: list[int], count: int) -> Iterator[str]:
    """How the `seeds` of a rule on a task differ from 0 to `count` - 1."""
    if not seeds:
        yield f"{where}: no run. `grape-bench run SUITE --rule RULE` runs the whole plan"
        return
    lacking = [seed for seed in range(count) if seed not in seeds]
    beyond = sorted(seed for seed in seeds if not 0 <= seed < count)
    if lacking:
        yield f"{where}: no record of seed {_listed(lacking)} of {count}"
    if beyond:
        yield f"{where}: seed {_listed(beyond)} is not in the plan, which has 0 to {count - 1}"


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds[:SHOWN])) + (" ..." if len(seeds) > SHOWN else "")
