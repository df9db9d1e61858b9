"""Tuned settings: one file per rule (`baselines/<suite>/<rule>.json`), and which of them a plan uses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from grape_bench.errors import UserError
from grape_bench.plan.find import baseline_folders
from grape_bench.plan.job import NOTHING, make_job
from grape_bench.plan.numerics import parts
from grape_bench.plan.overrides import Overrides
from grape_bench.plan.suite import Settings, Space, Suite
from grape_bench.plan.tuning import searched, space_of
from grape_bench.record.content import parse_object
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.rule_name import RuleName
from grape_bench.rules.names import RULES


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Trial(_Table):
    """One point of the search and its validation score. A diverged trial has the score of chance."""

    settings: Settings
    status: str
    validation: float
    validation_loss: float | None = None


class TunedTask(_Table):
    """The best trial on one task. `definition` identifies the task and budget that the search used."""

    definition: str
    metric: str
    trial: int
    settings: Settings
    trials: list[Trial]


class TunedRule(_Table):
    """The content of the file: one rule's settings on the tasks of one suite, and how the search was run."""

    schema_: Literal[1] = Field(alias="schema")
    suite: str
    version: str
    rule: str
    rule_source: str  # hash of the file that defined the rule
    numerics: dict[str, int] = {}  # by part of the engine that ran the trials; absent means 1
    trials: int
    budget: float = 1.0  # the share of the task's budget that each trial had
    space: Space
    sampler: str
    seeds: list[int]
    tasks: dict[str, TunedTask]
    git: dict[str, JsonValue]
    hardware: list[str]
    packages: dict[str, str]
    date: str

    def to_dict(self) -> dict[str, JsonValue]:
        """The content as JSON types."""
        content: dict[str, JsonValue] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return content


def tuned_file(folder: Path, rule: str) -> Path:
    """The file with the settings of `rule` in a suite's `folder`."""
    return folder / f"{RuleName.parse(rule).file_label}.json"


def find_tuned(suite: Suite, rule: str, folders: Sequence[Path] | None = None) -> tuple[TunedRule, Path] | None:
    """The tuned settings of `rule` and their file, or None.

    Searches `folders`. The default is the user's own baselines, then those that ship with the package.
    """
    for folder in baseline_folders() if folders is None else folders:
        path = tuned_file(folder / suite.name, rule)
        if path.is_file():
            return read_tuned(path), path
    return None


def read_tuned(path: Path) -> TunedRule:
    """The settings in the file `path`. Raises UserError if it holds something else."""
    try:
        text = read_text(path, Largest.DOCUMENT, follow=True)
        parse_object(text)  # refuses duplicate keys and numbers of 400 digits, which pydantic accepts
        return TunedRule.model_validate_json(text)
    except (OSError, ValueError, RecursionError) as error:  # a ValidationError is a ValueError
        what = f"not a file of tuned settings: {str(error).splitlines()[0]}"
        raise UserError(what, where=str(path), hint="grape-bench tune SUITE, which rewrites it") from error


@dataclass(frozen=True)
class TunedSettings:
    """The tuned settings of a plan by (task, rule), the trials behind each of them, and a note for the user.

    One trial means that the plan is untuned: every rule runs with the suite's settings. If only some rules are tuned,
    `command` tunes the others.
    """

    trials: int = 1
    settings: Mapping[tuple[str, str], Settings] = field(default_factory=dict)
    note: str = ""
    command: str = ""

    def of(self, task: str, rule: str) -> Settings:
        """The tuned settings of `rule` on `task`; empty in an untuned plan."""
        return self.settings.get((task, rule), NOTHING)


UNTUNED = TunedSettings()


def tuned_settings(suite: Suite, rules: list[str], reference: str, overrides: Overrides) -> TunedSettings:
    """Tuned settings for all of `rules` on all tasks, or for none of them, because a table has one budget.

    The note shows the command that tunes what is missing. It repeats `reference` and `overrides`.
    """
    if suite.tuning is None:
        return UNTUNED
    if overrides.untuned:
        return TunedSettings(note="settings: the suite's own, untuned (--untuned)")
    # A plan of `frozen` alone, which no search covers, is tuned if the rest of the suite is.
    found = {rule: find_tuned(suite, rule) for rule in searched(rules) or searched(suite.rules)}
    missing = {rule: why for rule in found if (why := mismatch(suite, rule, found[rule]))}
    if missing:
        return _untuned(missing, suite, reference, overrides)
    tuned = {rule: pair[0] for rule, pair in found.items() if pair}
    settings = {
        (task.name, rule): tuned[rule].tasks[task.name].settings for rule in tuned for task in suite.tasks_of(rule)
    }
    folders = {pair[1].parent for pair in found.values() if pair}
    where = ", ".join(sorted(map(str, folders)))
    note = f"settings: tuned, for each rule the best of {suite.tuning.trials} trials on validation ({where})"
    lines = [note, *_changes(suite, tuned)]
    return TunedSettings(suite.tuning.trials, settings, "\n  ".join(lines))


def mismatch(suite: Suite, rule: str, found: tuple[TunedRule, Path] | None) -> str:
    """Why the tuned settings that were `found` cannot be used for `suite`; empty if they can."""
    if found is None:
        return "no tuned settings"
    tuned, path = found
    trials, budget = (suite.tuning.trials, suite.tuning.budget) if suite.tuning else (1, 1.0)
    if (tuned.suite, tuned.version) != (suite.name, suite.version):
        return f"{path} is for {tuned.suite}@{tuned.version}"
    if tuned.trials != trials:
        return f"{path} has {tuned.trials} trials, not {trials}"
    if tuned.budget != budget:
        return f"{path} has trials with {tuned.budget:g} of the budget, not {budget:g}"
    if tuned.space != space_of(suite, rule):
        return f"{path} searched another space"
    for task in suite.tasks_of(rule):
        definition = make_job(suite, task, rule, 0).definition
        if task.name not in tuned.tasks or tuned.tasks[task.name].definition != definition:
            return f"tuned for another budget or other settings of {task.name}"
    return ""


def _untuned(missing: Mapping[str, str], suite: Suite, reference: str, overrides: Overrides) -> TunedSettings:
    rule, why = next(iter(missing.items()))
    others = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    command = ["grape-bench tune", reference, *(f"--rule {name}" for name in overrides.rules)]
    if len(missing) < len(searched(suite.rules)):  # never more trials than these rules need
        command += [f"--only {RuleName.parse(name).label}" for name in missing]
    command += [f"--set {shlex.quote(setting)}" for setting in overrides.settings]
    text = " ".join(command)
    note = (
        f"settings: the suite's own, untuned, for every rule ({RuleName.parse(rule).label}: {why}{others})\n"
        f"  to compare tuned rules: {text}"
    )
    return TunedSettings(note=note, command=text)


def _changes(suite: Suite, tuned: Mapping[str, TunedRule]) -> list[str]:
    """What has changed since the search, one line per kind of change.

    An outdated search may have missed a rule's best settings. It cannot have favored the rule.
    """
    names = {RuleName.parse(rule): one for rule, one in tuned.items()}
    edited = [name.label for name, one in names.items() if one.rule_source != RULES.source_hash(name.reference)]
    raised: dict[str, None] = {}
    for rule, one in tuned.items():
        for task in suite.tasks_of(rule):
            now = parts(make_job(suite, task, rule, 0))
            raised |= dict.fromkeys(name for name, integer in now.items() if integer != one.numerics.get(name, 1))
    found = {"edited since it was tuned": edited, "numerics raised since the search": list(raised)}
    return [f"{what}: {', '.join(names)}" for what, names in found.items() if names]
