"""Where the settings of a plan's rules come from: a search of equal size for each, or the suite alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grape_bench.plan.cell import NOTHING, make_job
from grape_bench.plan.choices import Choices
from grape_bench.plan.numerics import parts
from grape_bench.plan.suite import Settings, Suite
from grape_bench.plan.tuned import Tuned, find_tuned
from grape_bench.plan.tuning import space_of
from grape_bench.record.rule_name import RuleName
from grape_bench.rules.names import RULES


@dataclass(frozen=True)
class Track:
    """The settings found by (task, rule), the trials that each of them took, and a note for the person.

    One trial is the default track: every rule has the settings that the suite gives it.
    """

    trials: int = 1
    settings: Mapping[tuple[str, str], Settings] = field(default_factory=dict)
    note: str = ""

    def found(self, task: str, rule: str) -> Settings:
        """What the search found for `rule` on `task`; nothing on the default track."""
        return self.settings.get((task, rule), NOTHING)


UNTUNED = Track()


def find_track(suite: Suite, rules: list[str], reference: str, choices: Choices) -> Track:
    """Tuned settings for all of `rules` on all tasks, or else for none: a table has one budget.

    `reference` and `choices` say how to ask for what is missing.
    """
    if suite.tuning is None:
        return UNTUNED
    if choices.untuned:
        return Track(note="settings: the suite's own, untuned (--untuned)")
    found = {rule: find_tuned(suite, rule) for rule in rules}
    missing = {rule: why for rule in rules if (why := unfit(suite, rule, found[rule]))}
    if missing:
        return Track(note=_untuned_note(missing, rules, reference, choices))
    tuned = {rule: pair[0] for rule, pair in found.items() if pair}
    settings = {(task.name, rule): tuned[rule].tasks[task.name].settings for task in suite.tasks for rule in rules}
    folders = {pair[1].parent for pair in found.values() if pair}
    where = ", ".join(sorted(map(str, folders)))
    note = f"settings: tuned, for each rule the best of {suite.tuning.trials} trials on validation ({where})"
    lines = [note, *_changes(suite, tuned)]
    return Track(suite.tuning.trials, settings, "\n  ".join(lines))


def unfit(suite: Suite, rule: str, found: tuple[Tuned, Path] | None) -> str:
    """Why tuned settings that were found do not fit this suite; empty where they do."""
    if found is None:
        return "no tuned settings"
    tuned, path = found
    trials = suite.tuning.trials if suite.tuning else 1
    if (tuned.suite, tuned.version) != (suite.name, suite.version):
        return f"{path} is for {tuned.suite}@{tuned.version}"
    if tuned.trials != trials:
        return f"{path} has {tuned.trials} trials, not {trials}"
    if tuned.space != space_of(suite, rule):
        return f"{path} searched another space"
    for task in suite.tasks:
        if (
            task.name not in tuned.tasks
            or tuned.tasks[task.name].definition != make_job(suite, task, rule, 0).definition
        ):
            return f"tuned for another budget or other settings of {task.name}"
    return ""


def _untuned_note(missing: Mapping[str, str], rules: list[str], reference: str, choices: Choices) -> str:
    rule, why = next(iter(missing.items()))
    others = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    parts = ["grape-bench tune", reference, *(f"--rule {name}" for name in choices.rules)]
    if len(missing) < len(rules):
        parts += [f"--only {RuleName.parse(name).label}" for name in missing]
    parts += [f"--set {shlex.quote(setting)}" for setting in choices.settings]
    return (
        f"settings: the suite's own, untuned, for every rule ({RuleName.parse(rule).label}: {why}{others})\n"
        f"  to compare tuned ones: {' '.join(parts)}"
    )


def _changes(suite: Suite, tuned: Mapping[str, Tuned]) -> list[str]:
    """What has changed since the search, one line per kind of change.

    Trials of a rule that has changed can have missed its best settings. They cannot have favored it.
    """
    names = {RuleName.parse(rule): one for rule, one in tuned.items()}
    edited = [name.label for name, one in names.items() if one.rule_source != RULES.source_hash(name.reference)]
    raised: dict[str, None] = {}
    for rule, one in tuned.items():
        for task in suite.tasks:
            now = parts(make_job(suite, task, rule, 0))
            raised |= dict.fromkeys(name for name, integer in now.items() if integer != one.numerics.get(name, 1))
    found = {"edited since it was tuned": edited, "numerics raised since the search": list(raised)}
    return [f"{what}: {', '.join(names)}" for what, names in found.items() if names]
