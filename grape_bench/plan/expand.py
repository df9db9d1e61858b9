"""A suite and the command line's choices as a list of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grape_bench.errors import UserError, unknown
from grape_bench.plan.choices import Choices
from grape_bench.plan.complain import complain
from grape_bench.plan.find import find_suite
from grape_bench.plan.job import Job, rule_label
from grape_bench.plan.read import NO_CHOICES, read_suite
from grape_bench.plan.suite import OPTIMIZER_OVERRIDES, Optimizer, Suite, Task
from grape_bench.rules.names import RULES, split_anchor


@dataclass(frozen=True)
class Plan:
    """The jobs of one suite, in the order in which they start."""

    suite: Suite
    path: Path
    jobs: list[Job]


def make_plan(reference: str, choices: Choices = NO_CHOICES) -> Plan:
    """The plan of the suite called `reference` (a name or a .toml file); raises UserError."""
    path = find_suite(reference)
    suite = read_suite(path, choices)
    return Plan(suite, path, expand(suite, choices.only))


def expand(suite: Suite, only: tuple[str, ...] = ()) -> list[Job]:
    """The jobs of `suite`; with `only`, of these rules alone.

    Seeds are outermost, so that a sweep that stops early holds complete comparisons of fewer seeds. Within a
    task BP comes first: the others are read against it. The first seed of every other rule is the one in
    which step time is measured against BP.
    """
    rules = sorted(_restrict(suite.rules, only), key=lambda rule: rule != "bp")  # stable: else as listed
    jobs = [_job(suite, task, rule, seed) for seed in range(suite.seeds) for task in suite.tasks for rule in rules]
    seen: dict[str, Job] = {}
    for job in jobs:
        twin = seen.setdefault(job.id, job)
        if twin is not job:
            raise UserError(f"rules {twin.rule!r} and {job.rule!r} are the same", hint="list one of them")
    return jobs


def _restrict(rules: list[str], only: tuple[str, ...]) -> list[str]:
    for name in only:
        if name not in rules and name not in map(rule_label, rules):
            raise unknown("rule of this suite", name, rules, where=f"--only {name}", hint=f"--rule {name}")
    return [rule for rule in rules if not only or rule in only or rule_label(rule) in only]


def _job(suite: Suite, task: Task, rule: str, seed: int) -> Job:
    settings = rule_settings(suite, task, rule)
    overrides = {key: settings.pop(key) for key in OPTIMIZER_OVERRIDES if key in settings}
    return Job(
        suite=suite.name,
        version=suite.version,
        task=task.name,
        rule=rule,
        rule_settings=settings,
        rule_source=RULES.source_hash(split_anchor(rule)[0]),
        seed=seed,
        model=task.model,
        model_args=dict(task.model_args),
        dataset=task.dataset,
        dataset_args=dict(task.dataset_args),
        epochs=task.epochs,
        batch_size=task.batch_size,
        optimizer=_optimizer(task, rule, overrides),
        schedule=task.schedule,
        profile=seed == 0 and rule != "bp",
    )


def rule_settings(suite: Suite, task: Task, rule: str) -> dict[str, Any]:
    """The settings of `rule` on `task`: suite before task, and `X+anchor` has X's with its own on top."""
    base, anchored = split_anchor(rule_label(rule))
    names = [base, f"{base}+anchor"] if anchored else [base]
    merged: dict[str, Any] = {}
    for tables in (suite.rule, task.rule):
        for name in names:
            merged.update(tables.get(name, {}))
    return merged


def _optimizer(task: Task, rule: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The task's optimizer with the rule's overrides, checked as if the task had said them."""
    values = {**task.optimizer.to_dict(), **overrides}
    try:
        return Optimizer.model_validate(values).to_dict()
    except ValidationError as error:
        raise complain(error, values, f"task {task.name!r}, settings of rule {rule!r}") from error
