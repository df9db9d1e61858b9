"""The entries that `grape-bench list` shows: one dictionary per name, for `--json` and for the tables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

Entry = dict[str, Any]
MANY = 60  # a longer list of names helps nobody


def entries(kind: str, name: str | None = None) -> list[Entry]:
    """All entries of a kind, or those that the name or pattern matches. Raises UserError if none does."""
    from grape_bench.errors import unknown

    found = list(_KINDS[kind](name))
    if name is None:
        return found
    chosen = [one for one in found if fnmatchcase(str(one["name"]), name)]
    if not chosen and kind == "rules":  # a rule with anchors, or in a file
        return [rule_entry(name)]
    if not chosen:
        names = [str(one["name"]) for one in found]
        near = names if len(names) < MANY else get_close_matches(name, names, 5, cutoff=0)
        raise unknown(kind.removesuffix("s"), name, near, hint=f"grape-bench list {kind}, or a pattern")
    return chosen


def _suites(name: str | None) -> Iterator[Entry]:
    from grape_bench.errors import UserError
    from grape_bench.plan.find import suite_files
    from grape_bench.plan.read import read_suite

    for suite_name, path in suite_files().items():
        try:
            suite = read_suite(path)
        except UserError as error:  # a mistake in one file must not hide the other suites
            yield {"name": suite_name, "file": str(path), "error": error.what}
            continue
        tasks = [
            {"name": task.name, "model": task.model, "dataset": task.dataset, "seeds": suite.seeds_of(task)}
            for task in suite.tasks
        ]
        yield {
            "name": suite_name,
            "version": suite.version,
            "tasks": tasks,
            "rules": list(suite.rules),
            "seeds": suite.seeds,
            "file": str(path),
        }


def _rules(name: str | None) -> Iterator[Entry]:
    from grape_bench.rules.catalog import CATALOG
    from grape_bench.rules.names import RULES

    for rule in RULES:
        if name is not None and fnmatchcase(rule, name):
            yield rule_entry(rule)
        else:
            yield {"name": rule, "family": CATALOG[rule].family if rule in CATALOG else "of other packages"}


def rule_entry(name: str) -> Entry:
    """One rule with its settings, their defaults and the space to search. Raises UserError for an unknown name."""
    from grape_bench.cli.rule_list import facts
    from grape_bench.record.rule_name import RuleName
    from grape_bench.rules.catalog import entry_of
    from grape_bench.rules.make import parameters
    from grape_bench.rules.names import RULES

    words = dict(facts(name))
    reference = RuleName.parse(name).reference
    given = parameters(RULES.get(reference), RULES.defaults(reference))
    settings = {word: None if value is inspect.Parameter.empty else value for word, value in given}
    entry = entry_of(name)
    space = {setting: dict(axis) for setting, axis in entry.space.items()} if entry else {}
    return {**words, "name": name, "settings": settings, "to tune": space}


def _models(name: str | None) -> Iterator[Entry]:
    from grape_bench.models.known import known_models
    from grape_bench.models.names import MODELS, SOURCES

    yield from ({"name": model} for model in MODELS)
    if name is None:
        yield from ({"name": f"{source}:NAME"} for source in SOURCES)
        return
    for known in known_models().values():
        number = int(known.parameters) if known.parameters else None
        swept = {"swept": known.swept, "attached": known.attached}
        yield {"name": known.model, "parameters": number, "input": known.input, **swept}


def _datasets(name: str | None) -> Iterator[Entry]:
    from grape_bench.data.known import known_datasets
    from grape_bench.data.names import EXAMPLES

    for known in known_datasets():
        numbers = {part: int(text) if (text := getattr(known, part)) else None for part in ("train", "test")}
        about = {"input": known.input, "unit": known.unit, "objective": known.objective, "place": known.place}
        yield {"name": known.dataset, **numbers, **about}
    if name is None:
        yield from ({"name": example} for example in EXAMPLES.values())


def _objectives(name: str | None) -> Iterator[Entry]:
    from grape_bench.objectives.names import OBJECTIVES

    yield from ({"name": objective} for objective in OBJECTIVES)


_KINDS: Mapping[str, Callable[[str | None], Iterator[Entry]]] = {
    "suites": _suites,
    "rules": _rules,
    "models": _models,
    "datasets": _datasets,
    "objectives": _objectives,
}
KINDS = tuple(_KINDS)
