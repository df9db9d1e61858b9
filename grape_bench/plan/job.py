"""Make one job: a rule with its settings, on a task, with a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from grape_bench.arguments import schema_error
from grape_bench.errors import UserError
from grape_bench.plan.numerics import numerics_of
from grape_bench.plan.sources import rule_sources
from grape_bench.plan.suite import Optimizer, Settings, Suite, Task
from grape_bench.record.job import OPTIMIZER_SETTINGS, Job, Of, names_of
from grape_bench.record.limits import check_job
from grape_bench.record.rule_name import RuleName
from grape_bench.record.typed_json import ShapeError
from grape_bench.rules.names import RULES

NOTHING: Settings = {}


def make_job(suite: Suite, task: Task, rule: str, seed: int, tuned: Settings = NOTHING, **more: Any) -> Job:
    """Make the job of one seed. `tuned` settings override the suite's. `more` holds other fields of the job.

    Raises UserError if no record could hold the job. If `more` has `rule_source`, it must have the hashes of all user
    files, because these may not be on this machine.
    """
    reference = RuleName.parse(rule).reference
    settings = {**RULES.defaults(reference), **rule_settings(suite, task, rule), **tuned}
    overrides = {key: settings.pop(key) for key in OPTIMIZER_SETTINGS if key in settings}
    known = "rule_source" in more  # the rule's file may not be on this machine
    values = {
        "optimizer": _optimizer(task, rule, overrides),
        "margin": suite.margin,
        "numerics": numerics_of(rule, task.model, task.dataset, task.objective),
        **_task_values(task),
        **({} if known else task.sources | rule_sources(reference, settings)),
        **more,
    }
    job = Job(
        suite=suite.name,
        version=suite.version,
        task=task.name,
        rule=rule,
        rule_settings=settings,
        seed=seed,
        **values,
    )
    try:
        check_job(job)  # whoever reads the record checks it too
    except ShapeError as error:
        raise UserError(str(error).removeprefix("job."), where=f"task {task.name!r}, rule {rule!r}") from error
    return job


def _task_values(task: Task) -> dict[str, Any]:
    """The fields that a job copies from its task."""
    values = task.model_dump(include={*names_of(Of.TASK, Of.LAUNCH)})
    groups = {pattern: group.model_dump(exclude_none=True) for pattern, group in (task.groups or {}).items()}
    return {**values, "groups": groups or None}


def rule_settings(suite: Suite, task: Task, rule: str) -> dict[str, Any]:
    """The settings of `rule` on `task`. The task overrides the suite, and `X+anchor` overrides X."""
    merged: dict[str, Any] = {}
    for tables in (suite.rule, task.rule):
        merged.update(inherited(tables, rule))
    return merged


def inherited(tables: Mapping[str, Mapping[str, Any]], rule: str) -> dict[str, Any]:
    """The settings of `rule` in `tables`, a table per rule. `X+anchor` starts from X's entry and adds its own."""
    merged: dict[str, Any] = {}
    for label in RuleName.parse(rule).labels:
        merged.update(tables.get(label, {}))
    return merged


def _optimizer(task: Task, rule: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The task's optimizer with the rule's overrides, checked in the same way as the task's own table."""
    values = {**task.optimizer.to_dict(), **overrides}
    try:
        return Optimizer.model_validate(values).to_dict()
    except ValidationError as error:
        where = f"task {task.name!r}, settings of rule {rule!r}"
        raise schema_error(error, Optimizer, values, where=where) from error
