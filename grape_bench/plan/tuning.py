"""The search for a rule's settings: equally many trials for every rule and task, at the same points."""

from __future__ import annotations

from grape_bench.errors import UserError
from grape_bench.plan.cell import inherited, make_job
from grape_bench.plan.suite import TUNING_SEED, Settings, Space, Suite, Tuning
from grape_bench.record.job import Job

HALTON_SEED = 0
SAMPLER = f"scrambled Halton sequence (scipy.stats.qmc), seed {HALTON_SEED}"
EXAMPLE = "[tuning] with trials = 8 and space = { lr = { log = [1e-4, 1e-1] } } below it"


def tuning_of(suite: Suite) -> Tuning:
    """The suite's `[tuning]` table; raises UserError where it has none."""
    if suite.tuning is None:
        raise UserError("this suite has no [tuning] table", where=f"suite {suite.name!r}", hint=EXAMPLE)
    return suite.tuning


def space_of(suite: Suite, rule: str) -> Space:
    """What is searched for `rule`, on every task: the settings that all rules have, then those of its own."""
    tuning = tuning_of(suite)
    return {**tuning.space, **inherited(tuning.rule, rule)}


def points(space: Space, trials: int) -> list[Settings]:
    """The settings of each trial: a scrambled Halton sequence (Owen 2017), the same on every machine.

    A longer search begins with the points of a shorter one, and a rule with more settings has the same values
    of the others, so that trials of one number are comparable.
    """
    from scipy.stats import qmc  # not before it is needed: most plans search for nothing

    fractions = qmc.Halton(len(space), scramble=True, rng=HALTON_SEED).random(trials)
    return [{name: axis.at(float(f)) for (name, axis), f in zip(space.items(), row, strict=True)} for row in fractions]


def trial_jobs(suite: Suite, rules: list[str]) -> list[Job]:
    """The trials of every task and rule, trial by trial.

    Every trial has a seed of its own, the same for all rules, so that the search does not settle on what suits
    one seed; no seed of a result is among them.
    """
    trials = tuning_of(suite).trials
    settings = {rule: points(space_of(suite, rule), trials) for rule in rules}
    return [
        make_job(suite, task, rule, TUNING_SEED + trial, settings[rule][trial], trial=trial)
        for trial in range(trials)
        for task in suite.tasks
        for rule in rules
    ]
