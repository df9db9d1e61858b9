"""Expand a suite and the command line's overrides into a list of jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from grape_bench.errors import UserError, unknown
from grape_bench.plan.find import find_suite
from grape_bench.plan.job import make_job
from grape_bench.plan.open_settings import NOT_OPEN, Opened, check_settings, open_settings
from grape_bench.plan.overrides import NO_OVERRIDES, Overrides
from grape_bench.plan.read import read_suite
from grape_bench.plan.suite import Suite
from grape_bench.plan.tuned import UNTUNED, TunedSettings, tuned_settings
from grape_bench.plan.tuning import searched, stated_space, trial_jobs
from grape_bench.record.job import Job
from grape_bench.record.manifest import WITHOUT_TUNING
from grape_bench.record.rule_name import FROZEN, RuleName
from grape_bench.registry import is_file_reference
from grape_bench.rules.names import RULES


@dataclass(frozen=True)
class Plan:
    """The jobs of one suite in launch order.

    `tuned` holds the tuned settings that they use, if any. `overrides` lists the command's changes to settings, and
    `filters` its options that select some of the suite's jobs. `note` tells the user which settings are used.
    """

    suite: Suite
    path: Path
    jobs: list[Job]
    tuned: TunedSettings = UNTUNED
    overrides: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    note: str = ""

    def ordered(self, jobs: Iterable[Job]) -> list[Job]:
        """`jobs` of this suite in launch order. Rules and tasks that the suite does not name come last.

        A rule with open settings comes right after the rule.
        """
        rules = chosen_rules(self.suite, ())
        labels = _places(RuleName.parse(rule).label for rule in rules)
        tasks = _places(task.name for task in self.suite.tasks)

        def place(job: Job) -> tuple[int, int, int, bool]:
            rule = labels.get(job.rule_name.closed.label, len(labels))
            return job.seed, tasks.get(job.task, len(tasks)), rule, job.rule_name.is_open

        return sorted(jobs, key=place)


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def make_plan(reference: str, overrides: Overrides = NO_OVERRIDES) -> Plan:
    """The plan of the suite `reference`, which is a name or a .toml file. Raises UserError."""
    path = find_suite(reference)
    suite = read_suite(path, overrides)
    selected = () if overrides.lite else overrides.selected  # a lite plan is selected from the whole plan below
    tuned = tuned_settings(suite, chosen_rules(suite, selected), reference, overrides)
    opened, note = _opened(suite, selected) if overrides.open else (NOT_OPEN, "")
    jobs = expand(suite, selected, tuned, opened)
    filters = tuple(f"--only {rule}" for rule in overrides.only)
    filters += () if overrides.seeds is None else (f"--seeds {overrides.seeds}",)
    filters += ("--lite",) if overrides.lite else ()
    changes = (*overrides.settings, *((WITHOUT_TUNING,) if overrides.untuned else ()))
    jobs = lite_jobs(suite, jobs, overrides) if overrides.lite else jobs
    note = "\n".join(filter(None, (tuned.note, note)))
    return Plan(suite, path, jobs, tuned, changes, filters, note)


def _opened(suite: Suite, selected: tuple[str, ...]) -> tuple[Opened, str]:
    """The open settings of the suite, and a line on those of the selected rules. Raises UserError if there are none."""
    opened = open_settings(suite)
    note = opened.note(chosen_rules(suite, selected))
    check_settings(opened)
    return opened, note


def make_tuning_plan(reference: str, overrides: Overrides = NO_OVERRIDES) -> Plan:
    """The plan of the trials of the suite's search. Raises UserError, also if the suite has no [tuning] table."""
    path = find_suite(reference)
    suite = read_suite(path, overrides)
    rules = searched(chosen_rules(suite, overrides.selected))
    if not rules:
        raise UserError(
            f"there is nothing to tune: {FROZEN} has no settings", where=str(path), hint="--only another rule"
        )
    return Plan(suite, path, unique(trial_jobs(suite, rules)))


def expand(
    suite: Suite, only: tuple[str, ...] = (), tuned: TunedSettings = UNTUNED, opened: Opened = NOT_OPEN
) -> list[Job]:
    """The jobs of `suite` with the `tuned` settings, and those of `opened` settings. `only` selects rules if not empty.

    Seeds are the outermost loop, so a sweep that stops early has complete comparisons on fewer seeds. Within a task BP
    comes first, because every other rule is compared with it. The jobs of the first seed also profile the step.
    """
    rules = chosen_rules(suite, only)
    spaces = {rule: stated_space(suite, rule) for rule in searched(rules)} if tuned.trials > 1 else {}
    measured = {"profile": True, "probes": suite.probes, "features": suite.features}
    cells = []
    for task, rule in [(task, rule) for task in suite.tasks for rule in rules if task.has(rule)]:
        searched_in = {"trials": tuned.trials, "space": spaces.get(rule)}
        cells.append(make_job(suite, task, rule, 0, tuned.of(task.name, rule), **searched_in, **measured))
        if job := opened.job(suite, task, rule, **measured):
            cells.append(job)
    seeds = {task.name: suite.seeds_of(task) for task in suite.tasks}
    return unique(
        [
            replace(job, seed=seed, profile=seed == 0)
            for seed in range(suite.seeds)
            for job in cells
            if seed < seeds[job.task]
        ]
    )


def lite_jobs(suite: Suite, jobs: Iterable[Job], overrides: Overrides) -> list[Job]:
    """The part of a suite's `jobs` that `--lite` runs: the first seed of the chosen rules, on the wide tasks.

    The jobs keep their ids, so a later run of the whole suite has them already. Raises UserError.
    """
    chosen = (*overrides.only, *overrides.rules)
    if not chosen:
        raise UserError("no rule to run", where="--lite", hint="--rule my_rule.py:MyRule")
    if overrides.seeds is not None:
        raise UserError("--lite runs one seed", where=f"--seeds {overrides.seeds}", hint="leave out one of them")
    wide = {task.name for task in suite.tasks if task.wide}
    if not wide:
        what = "every task of this suite has a list `only`, so --lite has no task"
        raise UserError(what, where=f"suite {suite.name!r}", hint="leave out --lite")
    rules = chosen_rules(suite, chosen)
    return [job for job in jobs if job.seed == 0 and job.task in wide and job.rule in rules]


def chosen_rules(suite: Suite, only: tuple[str, ...]) -> list[str]:
    """The suite's rules, restricted to `only` if it is not empty: BP first, then in the suite's order."""
    for name in only:
        if name not in suite.rules and name not in (RuleName.parse(rule).label for rule in suite.rules):
            hint = f"--rule {name}, to add it" if is_file_reference(name) or RuleName.parse(name).base in RULES else ""
            raise unknown("rule of this suite", name, suite.rules, where=f"--only {name}", hint=hint)
    wanted = [rule for rule in suite.rules if not only or rule in only or RuleName.parse(rule).label in only]
    return sorted(wanted, key=lambda rule: rule != "bp")


def unique(jobs: list[Job]) -> list[Job]:
    """Return `jobs`. Raises UserError if two have the same id, or if two rules would be one row of a table.

    A row is named by the rule's class, without its file.
    """
    seen: dict[str, Job] = {}
    rows: dict[str, str] = {}
    for job in jobs:
        twin = seen.setdefault(job.id, job)
        if twin is not job:
            raise UserError(f"rules {twin.rule!r} and {job.rule!r} are the same", hint="list one of them")
        other = rows.setdefault(job.rule_name.label, job.rule)
        if other != job.rule:
            raise UserError(f"rules {other!r} and {job.rule!r} have one name", hint="rename one of the two classes")
    return jobs
