"""The user's choices for a report: which rules, under which names, which columns, and the width of the figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grape_bench.errors import UserError, unknown
from grape_bench.record.record import Record
from grape_bench.record.rule_name import ANCHOR, FROZEN, HEAD_ONLY
from grape_bench.report.figures.look import WIDTH
from grape_bench.score.columns import COLUMN
from grape_bench.score.labels import labels
from grape_bench.score.results import Results, results
from grape_bench.track.runs import Runs

REFERENCE = re.compile(rf"bp|dfa|{FROZEN}|{HEAD_ONLY}|last-\d+")
"""Rules whose runs are read even if they are not shown, because scores and words depend on them."""
UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}  # TeX's points
NARROWEST, WIDEST = 3.0, 20.0


@dataclass(frozen=True)
class Choice:
    """Rules and columns in display order (empty: all), names by rule, and the width of the figures in inches."""

    rules: Sequence[str] = ()
    columns: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    width: float = WIDTH


def scored(runs: Runs, choice: Choice, at: str | None = None) -> Results:
    """The chosen part of the results of `runs`, with the comparison at equal cost `at`, if any.

    Raises UserError for a rule or column that they do not have, for a name given to two rules, and as `score` does.
    """
    known = labels(dict.fromkeys(record.rule for record in runs.records))
    rules = list(dict.fromkeys(_rule(name, known, "--rules") for name in choice.rules))
    names = {_rule(rule, known, "--name"): name for rule, name in choice.names.items()}
    _check_names(known | names)
    records = _read(runs.records, rules)
    found = results(records, runs.curves, runs.diagnostics, given=names, untuned=runs.untuned, at=at)
    found.table.attrs["columns"] = [_column(name, found) for name in choice.columns]
    return found.only(rules) if rules else found


def inches(text: str) -> float:
    """A length such as `5.5in`, `14cm` or `397pt` in inches; a bare number is in inches. Raises UserError."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", text.strip())
    if not match or match[2] not in ("", *UNITS):
        raise UserError(f"not a width: {text!r}", where="--width", allowed=f"a number with {', '.join(UNITS)}")
    width = float(match[1]) * UNITS[match[2] or "in"]
    if not NARROWEST <= width <= WIDEST:
        raise UserError(
            f"{text} is too narrow or too wide", where="--width", allowed=f"{NARROWEST:g}in to {WIDEST:g}in"
        )
    return width


def _read(records: Iterable[Record], rules: Sequence[str]) -> list[Record]:
    """The records of `rules` and of the rules that they are compared with. All records if `rules` is empty."""
    wanted = {*rules, *(rule.removesuffix(ANCHOR) for rule in rules)}
    return [record for record in records if not rules or record.rule in wanted or REFERENCE.fullmatch(record.rule)]


def _rule(name: str, known: Mapping[str, str], where: str) -> str:
    """The rule with this name or label."""
    found = [rule for rule, label in known.items() if name in (rule, label)]
    if not found:
        raise unknown("rule", name, known.values(), where=where)
    return found[0]


def _check_names(names: Mapping[str, str]) -> None:
    """Raise UserError if two rules have the same name, or if a name is empty."""
    hint = "--name RULE=NAME"
    for rule, name in names.items():
        same = [other for other, label in names.items() if label == name]
        if len(same) > 1:
            raise UserError(f"two rules are called {name!r}: {', '.join(same)}", where="--name", hint=hint)
        if not name.strip():
            raise UserError(f"the name of {rule} is empty", where="--name", hint=hint)


def _column(name: str, found: Results) -> str:
    if name not in COLUMN:
        raise unknown("column", name, found.table.columns, where="--columns")
    if name not in found.table:
        raise UserError(f"no row has a value of {name!r}", where="--columns", allowed=", ".join(found.table.columns))
    return name
