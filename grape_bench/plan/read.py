"""Read and check a suite file or a cluster file. Every mistake in one becomes a UserError."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grape_bench.arguments import schema_error
from grape_bench.errors import UserError, unknown
from grape_bench.plan.overrides import NO_OVERRIDES, Overrides
from grape_bench.plan.suite import OPTIMIZERS, SCHEDULES, Cluster, Suite
from grape_bench.record.content import parse_toml
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.rule_name import ANCHOR, RuleName
from grape_bench.registry import is_file_reference, split_file_reference
from grape_bench.rules.names import RULES

EXAMPLES = {
    "version": 'version = "1.0"',
    "rules": 'rules = ["bp", "dfa"]',
    "seeds": "seeds = 3",
    "optimizer": 'optimizer = { name = "adamw", lr = 1e-3 }',
    "task": '[[task]], with name = "...", model = "...", dataset = "..." below it',
    "blocks": 'blocks = ["layers.*"]',
    "model_args": "model_args = { hidden = [256] }",
}
_TOP = ("task", "rule", "tuning", "name", "version", "rules", "seeds")


def read_suite(path: Path, overrides: Overrides = NO_OVERRIDES) -> Suite:
    """The suite in `path` with `overrides` applied. Raises UserError if either is wrong."""
    document = read_document(path)
    overrides.apply(document)
    where = f"{path} with {overrides}" if str(overrides) else str(path)
    try:
        suite = Suite.model_validate(document, by_alias=True, by_name=False)  # `task`, and not the field's name
    except ValidationError as error:
        raise schema_error(error, Suite, document, where=where, examples=EXAMPLES) from error
    _check_names(suite, where)
    return suite


def read_cluster(path: Path) -> Cluster:
    """The cluster table in the file `path`. Raises UserError if it is wrong."""
    document = read_document(path)
    try:
        return Cluster.model_validate(document)
    except ValidationError as error:
        raise schema_error(error, Cluster, document, where=str(path)) from error


def read_document(path: Path) -> dict[str, Any]:
    """The TOML document in `path`, not checked against a schema. Raises UserError if it is not TOML."""
    try:
        text = read_text(path, Largest.DOCUMENT, follow=True)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, path) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"TOML: {error}", where=str(path)) from error


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, path: Path) -> UserError:
    """A TOML error with its line. tomllib's word for a duplicate key is "overwrite"."""
    message = str(error)
    position = re.search(r" \(at line (\d+), column \d+\)$", message)
    lines = text.splitlines()
    number = int(position.group(1)) if position else len(lines)
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    what = message[: position.start()] if position else message
    if re.match(r"Cannot (overwrite|declare|mutate|redefine)", what):
        what = "duplicate key"
    return UserError(
        f"TOML: {what}" + (f": {line}" if line else ""),
        where=f"{path}:{number}",
        hint="one `key = value` per line, each key once; tables as [rule.NAME] and [[task]]",
    )


def _check_names(suite: Suite, where: str) -> None:
    """Raise UserError if a name in the suite is unknown, repeated or reserved. Imports no torch."""
    from grape_bench.data.names import check_name as check_dataset
    from grape_bench.models.names import check_name as check_model
    from grape_bench.objectives.names import check_name as check_objective

    _check_once("rule", suite.rules, where)
    _check_once("task", (task.name for task in suite.tasks), where)
    for rule in suite.rules:
        _check_at(f"{where}: rules", _check_rule, rule)
    labels = {RuleName.parse(rule).base for rule in suite.rules}
    _check_tables(suite.rule, labels, f"{where}: rule")
    _check_tables(suite.tuning.rule if suite.tuning else (), labels, f"{where}: tuning.rule")
    for task in suite.tasks:
        where_task = f"{where}: task {task.name!r}"
        if task.name in _TOP:
            raise UserError(f"{task.name!r} is a key of suite files, so no task can have this name", where=where_task)
        _check_at(f"{where_task}: model", check_model, task.model)
        _check_at(f"{where_task}: dataset", check_dataset, task.dataset)
        if task.objective is not None:
            _check_at(f"{where_task}: objective", check_objective, task.objective)
        _check_at(f"{where_task}: optimizer", _check_optimizer, task.optimizer.name)
        _check_at(f"{where_task}: schedule", _check_schedule, task.schedule)
        _check_tables(task.rule, labels, f"{where_task}: rule")
        for rule in (*(task.only or ()), *task.skip):
            if rule not in suite.rules:
                raise unknown("rule of this suite", rule, suite.rules, where=f"{where_task}: only, skip")
        if not any(map(task.has, suite.rules)):
            raise UserError("no rule of the suite runs on this task", where=f"{where_task}: only, skip")
    _check_variants(suite, f"{where}: rules")


def _check_rule(rule: str) -> None:
    """Raise UserError unless `rule` is known or is a file that exists. Either may end in `+anchor` or `+finish`."""
    name = RuleName.parse(rule)
    _check_not_open(rule)
    if name.file:
        split_file_reference(name.reference)
    elif name.base not in RULES:
        hint = "the rule's name, NAME+anchor, NAME+finish, or path/to/file.py:MyRule"
        raise unknown("rule", name.base, RULES, hint=hint)


def _check_not_open(rule: str) -> None:
    """Raise UserError for the name of open settings, which come from their own file."""
    if RuleName.parse(rule).is_open:
        raise UserError(f"{rule!r} is the name of open settings", allowed="baselines/SUITE/open.toml", hint="--open")


def _check_variants(suite: Suite, where: str) -> None:
    """Raise UserError if the suite lists a variant of a rule, such as `grape:p4`, and gives it no settings."""
    every = [suite.rule, *(task.rule for task in suite.tasks)]
    tables = {RuleName.parse(name).variant_label for rules in every for name in rules}
    for rule in suite.rules:
        label = RuleName.parse(rule).variant_label
        if label and label not in tables:
            hint = f'[rule."{label}"] with the settings of the variant'
            raise UserError(f"the variant {label!r} has no settings", where=where, hint=hint)


def _check_optimizer(name: str) -> None:
    """Raise UserError for an unknown optimizer. Those of torch and timm are found when the job is set up."""
    if is_file_reference(name):
        split_file_reference(name)
    elif not name.startswith(("torch:", "timm:")) and name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS, hint="torch:NAME, timm:NAME or path/to/file.py:name")


def _check_schedule(name: str) -> None:
    """Raise UserError for an unknown schedule, or a file that does not exist."""
    if is_file_reference(name):
        split_file_reference(name)
    elif name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES, hint="its name, or path/to/file.py:name")


def _check_tables(tables: Iterable[str], labels: set[str], where: str) -> None:
    """Check each NAME of [rule.NAME]. A misspelled one would silently leave a rule at its defaults."""
    for name in tables:
        _check_at(where, _check_not_open, name)
        if not {RuleName.parse(name).reference} & {*RULES, *labels}:
            raise unknown("rule", name, {*RULES, *labels}, where=where, hint=f"NAME or NAME{ANCHOR}")


def _check_once(kind: str, names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{kind} {name!r} is listed twice", where=where, hint="list it once")
        seen.add(name)


def _check_at(where: str, check: Callable[[str], None], name: str) -> None:
    """Run `check` on `name`, and add the location in the suite to its error."""
    try:
        check(name)
    except UserError as error:
        raise UserError(error.what, where=where, allowed=error.allowed, hint=error.hint) from error
