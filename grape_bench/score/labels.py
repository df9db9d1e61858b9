"""Short labels for the rules of a table, and the order of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from types import MappingProxyType

from grape_bench.record.rule_name import RuleName

Names = Mapping[str, str]
"""Rule -> its label in a table."""
NO_NAMES: Names = MappingProxyType({})


def labels(rules: Iterable[str], given: Names = NO_NAMES) -> dict[str, str]:
    """A short label for each rule: `my/rules/new.py:Rule` becomes `Rule`, unless another rule has that label.

    Labels in `given` take precedence.
    """
    names = list(dict.fromkeys(rules))
    short = {name: RuleName.parse(name).label for name in names}
    count = Counter(short.values())
    found = {name: label if count[label] == 1 else _with_file(name) for name, label in short.items()}
    return found | {name: given[name] for name in found if name in given}


def in_rows(rules: Iterable[str]) -> list[str]:
    """`rules` in the same order, except that a rule with open settings comes right below the rule."""
    place = {rule: index for index, rule in enumerate(rules)}

    def row(rule: str) -> tuple[int, bool]:
        name = RuleName.parse(rule)
        return place.get(str(name.closed), place[rule]), name.is_open

    return sorted(place, key=row)


def _with_file(name: str) -> str:
    parsed = RuleName.parse(name)
    if not parsed.file:
        return name
    path = PurePath(parsed.file)
    return f"{path.parent.name}/{path.name}:{parsed.label}".lstrip("/")
