"""Whether the rules, models and data sets that a suite names exist, known without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from grape_bench.errors import UserError, unknown
from grape_bench.plan.suite import Suite
from grape_bench.record.rule_name import ANCHOR, RuleName
from grape_bench.registry import split_file_reference
from grape_bench.rules.names import RULES

_TOP = ("task", "rule", "tuning", "name", "version", "rules", "seeds")


def check_names(suite: Suite, where: str) -> None:
    """Raise UserError for a name that is unknown, given twice, or taken."""
    from grape_bench.data.names import check_name as check_dataset
    from grape_bench.models.names import check_name as check_model

    _once("rule", suite.rules, where)
    _once("task", (task.name for task in suite.tasks), where)
    for rule in suite.rules:
        _at(f"{where}: rules", check_rule, rule)
    labels = {RuleName.parse(rule).base for rule in suite.rules}
    _check_tables(suite.rule, labels, f"{where}: rule")
    _check_tables(suite.tuning.rule if suite.tuning else (), labels, f"{where}: tuning.rule")
    for task in suite.tasks:
        place = f"{where}: task {task.name!r}"
        if task.name in _TOP:
            raise UserError(f"{task.name!r} is a key of suite files and no name for a task", where=place)
        _at(f"{place}: model", check_model, task.model)
        _at(f"{place}: dataset", check_dataset, task.dataset)
        _check_tables(task.rule, labels, f"{place}: rule")


def check_rule(rule: str) -> None:
    """Raise UserError unless `rule` is known, or is a file that exists; `+anchor` may follow either."""
    name = RuleName.parse(rule)
    if name.file:
        split_file_reference(name.reference)
    elif name.base not in RULES:
        hint = "the rule's name, NAME+anchor, or path/to/file.py:MyRule"
        raise unknown("rule", name.base, RULES, hint=hint)


def _check_tables(tables: Iterable[str], labels: set[str], where: str) -> None:
    """The NAMEs of [rule.NAME]: a misspelled one would silently leave a rule at its defaults."""
    for name in tables:
        if not {RuleName.parse(name).reference} & {*RULES, *labels}:
            raise unknown("rule", name, {*RULES, *labels}, where=where, hint=f"NAME or NAME{ANCHOR}")


def _once(kind: str, names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{kind} {name!r} is listed twice", where=where, hint="list it once")
        seen.add(name)


def _at(where: str, check: Callable[[str], None], name: str) -> None:
    """Check `name` and say where in the suite it stands."""
    try:
        check(name)
    except UserError as error:
        raise UserError(error.what, where=where, allowed=error.allowed, hint=error.hint) from error
