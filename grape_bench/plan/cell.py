"""One rule on one task: the settings it has there, and the jobs they make."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from grape_bench.plan.complain import complain
from grape_bench.plan.numerics import numerics_of
from grape_bench.plan.suite import OPTIMIZER_OVERRIDES, Optimizer, Settings, Suite, Task
from grape_bench.record.job import Job, Of, names_of
from grape_bench.record.rule_name import RuleName
from grape_bench.rules.names import RULES

NOTHING: Settings = {}


def make_job(suite: Suite, task: Task, rule: str, seed: int, found: Settings = NOTHING, **more: Any) -> Job:
    """The job of one seed: the suite's settings, overridden by those that a search `found`. `more` are other fields."""
    reference = RuleName.parse(rule).reference
    settings = {**RULES.defaults(reference), **rule_settings(suite, task, rule), **found}
    source = more.pop("rule_source", "")  # given where the file of the rule is not here
    overrides = {key: settings.pop(key) for key in OPTIMIZER_OVERRIDES if key in settings}
    return Job(
        suite=suite.name,
        version=suite.version,
        task=task.name,
        rule=rule,
        rule_settings=settings,
        rule_source=source or RULES.source_hash(reference),
        seed=seed,
        optimizer=_optimizer(task, rule, overrides),
        numerics=numerics_of(rule, task.model, task.dataset),
        **{name: deepcopy(getattr(task, name)) for name in names_of(Of.TASK, Of.LAUNCH)},
        **more,
    )


def rule_settings(suite: Suite, task: Task, rule: str) -> dict[str, Any]:
    """The settings of `rule` on `task`: suite before task, and `X+anchor` has X's with its own on top."""
    merged: dict[str, Any] = {}
    for tables in (suite.rule, task.rule):
        merged.update(inherited(tables, rule))
    return merged


def inherited(tables: Mapping[str, Mapping[str, Any]], rule: str) -> dict[str, Any]:
    """What `tables`, by rule, hold for `rule`: for `X+anchor` X's with its own on top."""
    name = RuleName.parse(rule)
    own = tables.get(name.label, {}) if name.anchored else {}
    return {**tables.get(name.base, {}), **own}


def _optimizer(task: Task, rule: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The task's optimizer with the rule's overrides, checked as if the task had said them."""
    values = {**task.optimizer.to_dict(), **overrides}
    try:
        return Optimizer.model_validate(values).to_dict()
    except ValidationError as error:
        raise complain(error, values, f"task {task.name!r}, settings of rule {rule!r}") from error
