"""A suite and the command line's choices as a list of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grape_bench.errors import UserError, unknown
from grape_bench.plan.cell import make_job
from grape_bench.plan.choices import Choices
from grape_bench.plan.find import find_suite
from grape_bench.plan.read import NO_CHOICES, read_suite
from grape_bench.plan.suite import Suite
from grape_bench.plan.track import UNTUNED, Track, find_track
from grape_bench.plan.tuning import trial_jobs
from grape_bench.record.job import Job
from grape_bench.record.rule_name import RuleName


@dataclass(frozen=True)
class Plan:
    """The jobs of one suite, in the order in which they start; `track` says where their settings come from."""

    suite: Suite
    path: Path
    jobs: list[Job]
    track: Track = UNTUNED


def make_plan(reference: str, choices: Choices = NO_CHOICES) -> Plan:
    """The plan of the suite called `reference` (a name or a .toml file); raises UserError."""
    path = find_suite(reference)
    suite = read_suite(path, choices)
    track = find_track(suite, chosen_rules(suite, choices.only), reference, choices)
    return Plan(suite, path, expand(suite, choices.only, track), track)


def make_tuning_plan(reference: str, choices: Choices = NO_CHOICES) -> Plan:
    """The trials of the search that the suite asks for; raises UserError, also where it asks for none."""
    path = find_suite(reference)
    suite = read_suite(path, choices)
    return Plan(suite, path, unique(trial_jobs(suite, chosen_rules(suite, choices.only))))


def expand(suite: Suite, only: tuple[str, ...] = (), track: Track = UNTUNED) -> list[Job]:
    """The jobs of `suite` with the settings of `track`; with `only`, of these rules alone.

    Seeds are outermost, so that a sweep that stops early holds complete comparisons of fewer seeds. Within a
    task BP comes first: the others are read against it. The first seed of every rule is the one in which the cost of
    a step is measured.
    """
    rules = chosen_rules(suite, only)
    return unique(
        [
            make_job(
                suite,
                task,
                rule,
                seed,
                track.found(task.name, rule),
                trials=track.trials,
                profile=seed == 0,
                probes=suite.probes,
            )
            for seed in range(suite.seeds)
            for task in suite.tasks
            for rule in rules
        ]
    )


def chosen_rules(suite: Suite, only: tuple[str, ...]) -> list[str]:
    """The suite's rules, of them those in `only` if that is not empty; BP first, else as listed."""
    for name in only:
        if name not in suite.rules and name not in (RuleName.parse(rule).label for rule in suite.rules):
            raise unknown("rule of this suite", name, suite.rules, where=f"--only {name}", hint=f"--rule {name}")
    wanted = [rule for rule in suite.rules if not only or rule in only or RuleName.parse(rule).label in only]
    return sorted(wanted, key=lambda rule: rule != "bp")


def unique(jobs: list[Job]) -> list[Job]:
    """`jobs`; raises UserError where two have one id."""
    seen: dict[str, Job] = {}
    for job in jobs:
        twin = seen.setdefault(job.id, job)
        if twin is not job:
            raise UserError(f"rules {twin.rule!r} and {job.rule!r} are the same", hint="list one of them")
    return jobs
