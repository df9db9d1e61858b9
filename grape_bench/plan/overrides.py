"""The command line's overrides of a suite, applied before the suite is checked."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from grape_bench.errors import UserError, unknown
from grape_bench.plan.suite import Suite
from grape_bench.record.rule_name import RuleName

GRAMMAR = "task.KEY, TASK_NAME.KEY, rule.RULE.KEY, tuning.KEY, or a top-level key of the file, such as seeds"
OTHER_BUDGET = {"steps": "epochs", "epochs": "steps"}
"""A budget on the command line replaces a suite's budget in the other unit."""
_BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_:/.+-]*")
# Other languages' words for TOML's true, false and "no value". Read as strings, they would go unnoticed.
_NOT_A_STRING = ("True", "False", "None", "null", "yes", "no", "on", "off")


@dataclass(frozen=True)
class Overrides:
    """The command line's additions to a suite, selections from it and changes to it."""

    rules: tuple[str, ...] = ()  # added to the suite's rules
    only: tuple[str, ...] = ()  # if not empty, run only these of the suite's rules
    seeds: int | None = None
    settings: tuple[str, ...] = ()  # KEY=VALUE
    untuned: bool = False  # ignore tuned settings
    lite: bool = False  # one seed of the chosen rules, on the wide tasks
    open: bool = False  # also the rows of open settings

    def apply(self, document: dict[str, Any]) -> None:
        """Change `document`, the parsed but unchecked suite. The schema checks the result as it checks a file."""
        rules = document.get("rules")
        if isinstance(rules, list):
            rules.extend(rule for rule in dict.fromkeys(self.rules) if rule not in rules)
        if self.seeds is not None:
            document["seeds"] = self.seeds
        for setting in self.settings:
            _set(document, setting)

    @property
    def selected(self) -> tuple[str, ...]:
        """The rules that run: `only` and the added ones. Empty means all."""
        return (*self.only, *self.rules) if self.only else ()

    def __str__(self) -> str:
        parts = [f"--rule {rule}" for rule in self.rules]
        parts += [f"--seeds {self.seeds}"] if self.seeds is not None else []
        return " ".join(parts + [f"--set {setting}" for setting in self.settings])


NO_OVERRIDES = Overrides()


def _set(document: dict[str, Any], setting: str) -> None:
    """Apply one `KEY=VALUE`."""
    key, equals, text = setting.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise UserError("not of the form KEY=VALUE", where=f"--set {setting}", allowed=GRAMMAR)
    value = toml_value(text.strip(), f"--set {setting}")
    for table, rest in _targets(document, path, f"--set {setting}"):
        if rest[0] == "rule":
            _check_rule_runs(document, rest[1] if len(rest) > 2 else "", f"--set {setting}")
        for part in rest[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UserError(f"{part!r} is a value, not a table", where=f"--set {setting}")
        table[rest[-1]] = value
        if table is not document and len(rest) == 1:
            table.pop(OTHER_BUDGET.get(rest[0], ""), None)


def _targets(document: dict[str, Any], path: list[str], where: str) -> list[tuple[dict[str, Any], list[str]]]:
    """The tables that a key applies to, each with the rest of the key."""
    first, rest = path[0], path[1:]
    tasks = [task for task in document.get("task", []) if isinstance(task, dict)]
    names = {task["name"]: task for task in tasks if isinstance(task.get("name"), str)}
    if first == "task" or first in names:
        if not rest:
            raise UserError(f"no key after {first!r}", where=where, hint=f"--set {first}.epochs=10")
        return [(task, rest) for task in (tasks if first == "task" else [names[first]])]
    top = [key for key in Suite.model_fields if key != "tasks"]
    if first not in top:
        raise unknown("key", first, ["task", *names, *top], where=where, hint=GRAMMAR)
    return [(document, path)]


def _check_rule_runs(document: dict[str, Any], name: str, where: str) -> None:
    """Raise UserError if no rule of the suite takes the settings of `name`, which then would change nothing."""
    if not name:
        raise UserError("no rule and key after 'rule'", where=where, hint="--set rule.dfa.lr=0.001")
    rules = document.get("rules")
    every = [rule for rule in rules if isinstance(rule, str)] if isinstance(rules, list) else []
    labels = {label for rule in every for label in RuleName.parse(rule).labels}
    if name not in labels:
        raise unknown("rule of this suite", name, labels, where=where, hint="one of these, or --rule NAME to add one")


def toml_value(text: str, where: str) -> Any:
    """Parse `text` as a TOML value. A bare word is a string, so that the shell needs no second pair of quotes.

    Raises UserError with the location `where`.
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if _BARE_WORD.fullmatch(text) and text not in _NOT_A_STRING:
            return text
        raise UserError(
            f"{text!r} is not a TOML value",
            where=where,
            allowed='a number, true, false, a word, "text", [1, 2] or { key = 1 }',
        ) from error
