"""One rule on one task: the settings it has there, and the jobs they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from grape_bench.plan.complain import complain
from grape_bench.plan.job import Job, rule_label
from grape_bench.plan.numerics import numerics_of
from grape_bench.plan.suite import OPTIMIZER_OVERRIDES, Optimizer, Settings, Suite, Task
from grape_bench.rules.names import RULES, split_anchor

NOTHING: Settings = {}


def make_job(suite: Suite, task: Task, rule: str, seed: int, found: Settings = NOTHING, **more: Any) -> Job:
    """The job of one seed; `found` by a search comes on top of the suite's settings, `more` are fields of the job."""
    base, _ = split_anchor(rule)
    settings = {**RULES.defaults(base), **rule_settings(suite, task, rule), **found}
    overrides = {key: settings.pop(key) for key in OPTIMIZER_OVERRIDES if key in settings}
    return Job(
        suite=suite.name,
        version=suite.version,
        task=task.name,
        rule=rule,
        rule_settings=settings,
        rule_source=RULES.source_hash(base),
        seed=seed,
        model=task.model,
        model_args=dict(task.model_args),
        dataset=task.dataset,
        dataset_args=dict(task.dataset_args),
        epochs=task.epochs,
        batch_size=task.batch_size,
        optimizer=_optimizer(task, rule, overrides),
        schedule=task.schedule,
        precision=task.precision,
        compile=task.compile,
        deterministic=task.deterministic,
        nproc=task.nproc,
        numerics=numerics_of(rule, task.model, task.dataset),
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
    base, anchored = split_anchor(rule_label(rule))
    own = tables.get(f"{base}+anchor", {}) if anchored else {}
    return {**tables.get(base, {}), **own}


def _optimizer(task: Task, rule: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The task's optimizer with the rule's overrides, checked as if the task had said them."""
    values = {**task.optimizer.to_dict(), **overrides}
    try:
        return Optimizer.model_validate(values).to_dict()
    except ValidationError as error:
        raise complain(error, values, f"task {task.name!r}, settings of rule {rule!r}") from error
