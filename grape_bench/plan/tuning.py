"""The search for a rule's settings: the same number of trials, at the same points, for every rule and task."""

from __future__ import annotations

from math import ceil

from pydantic import JsonValue

from grape_bench.errors import UserError
from grape_bench.plan.job import inherited, make_job
from grape_bench.plan.suite import DIMENSIONS, TUNING_SEED, Axis, Settings, Space, Suite, Task, Tuning
from grape_bench.record.job import Job
from grape_bench.record.rule_name import FROZEN
from grape_bench.rules.catalog import entry_of

HALTON_SEED = 0
SAMPLER = f"scrambled Halton sequence (scipy.stats.qmc), seed {HALTON_SEED}"
EXAMPLE = "[tuning] with trials = 8 and space = { lr = { log = [1e-4, 1e-1] } } below it"


def tuning_of(suite: Suite) -> Tuning:
    """The suite's `[tuning]` table. Raises UserError if it has none."""
    if suite.tuning is None:
        raise UserError("this suite has no [tuning] table", where=f"suite {suite.name!r}", hint=EXAMPLE)
    return suite.tuning


def searched(rules: list[str]) -> list[str]:
    """The rules that are tuned: all but the control `frozen`, whose fit has no setting."""
    return [rule for rule in rules if rule != FROZEN]


def space_of(suite: Suite, rule: str) -> Space:
    """The search space of `rule` on every task: the settings shared by all rules, then the rule's own.

    Raises UserError if there are too many for a search of a few trials.
    """
    tuning = tuning_of(suite)
    entry = entry_of(rule) if tuning.own_settings else None
    own = {name: Axis.model_validate(dict(axis)) for name, axis in entry.space.items()} if entry else {}
    space = {**tuning.space, **own, **inherited(tuning.rule, rule)}
    if len(space) > DIMENSIONS:
        what = f"{rule} has more than {DIMENSIONS} settings to search: {', '.join(space)}"
        raise UserError(what, where=f"suite {suite.name!r}: tuning", hint="fewer settings in tuning.space")
    return space


def stated_space(suite: Suite, rule: str) -> dict[str, dict[str, JsonValue]]:
    """The search space of `rule` as JSON types, by setting: `{"lr": {"log": [0.0001, 0.1]}}`."""
    return {name: axis.model_dump(exclude_none=True) for name, axis in space_of(suite, rule).items()}


def points(space: Space, trials: int) -> list[Settings]:
    """The settings of each trial: a scrambled Halton sequence (Owen 2017), the same on every machine.

    A longer search starts with the points of a shorter one. A rule with more settings gets the same values for the
    shared ones, so trials with the same number can be compared across rules.
    """
    from scipy.stats import qmc  # imported here because most plans search for nothing

    fractions = qmc.Halton(len(space), scramble=True, rng=HALTON_SEED).random(trials)
    return [{name: axis.at(float(f)) for (name, axis), f in zip(space.items(), row, strict=True)} for row in fractions]


def trial_jobs(suite: Suite, rules: list[str]) -> list[Job]:
    """The trials of every task and rule, in the order of the trials.

    Each trial has its own seed, shared by all rules, so the search does not overfit one seed. Results never use these
    seeds.
    """
    tuning = tuning_of(suite)
    trials, tasks = tuning.trials, [shortened(task, tuning.budget) for task in suite.tasks]
    settings = {rule: points(space_of(suite, rule), trials) for rule in rules}
    return [
        make_job(suite, task, rule, TUNING_SEED + trial, settings[rule][trial], trial=trial)
        for trial in range(trials)
        for task in tasks
        for rule in rules
        if task.has(rule)
    ]


def shortened(task: Task, budget: float) -> Task:
    """`task` with the share `budget` of its epochs or steps and of its warm-up, rounded up to whole ones.

    The learning rate's schedule ends with the shorter budget.
    """
    amounts = {name: getattr(task, name) for name in ("epochs", "steps", "warmup")}
    return task.model_copy(update={name: ceil(n * budget) for name, n in amounts.items() if n is not None})
