"""The shipped rules in the terminal: all of them by family, or one in detail."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from grape_bench.errors import unknown

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"


def by_family() -> Table:
    """All rules, at most 80 columns wide. Rules of other packages come last."""
    from rich import box
    from rich.table import Table

    from grape_bench.rules.catalog import CATALOG
    from grape_bench.rules.entry import FAMILIES
    from grape_bench.rules.measured import measured
    from grape_bench.rules.names import RULES

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, width=80)
    table.add_column("rule", no_wrap=True, width=24)
    table.add_column("waits for", no_wrap=True, width=14)
    table.add_column("reads weights", ratio=1)
    table.add_column("forwards", justify="right", no_wrap=True)
    table.add_column("step ÷ BP", justify="right", no_wrap=True)
    for family in FAMILIES:
        table.add_section()
        table.add_row(family, style="bold")
        for name, entry in CATALOG.items():
            if entry.family == family:
                one = measured().get(name)
                values = (
                    (one.transport.removesuffix(" from forward passes"), one.forwards, one.step_ratio)
                    if one
                    else ("", "", "")
                )
                table.add_row(f"  {name}", entry.waits, *(value or ABSENT for value in values))
    if others := [name for name in RULES if name not in CATALOG]:
        table.add_section()
        table.add_row("of other packages", style="bold")
        for name in others:
            table.add_row(f"  {name}", *[ABSENT] * 4)
    return table


def described(name: str) -> Table:
    """One rule, as a table of labels and facts. Raises UserError for an unknown name."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for word, text in facts(name):
        table.add_row(word, text)
    return table


def facts(name: str) -> Iterator[tuple[str, str]]:
    """Yield the facts about one rule as (label, text). Raises UserError for an unknown name."""
    from grape_bench.record.rule_name import RuleName
    from grape_bench.rules.anchored import Anchored
    from grape_bench.rules.catalog import checked, entry_of
    from grape_bench.rules.finished import Finished
    from grape_bench.rules.make import device_settings, parameters
    from grape_bench.rules.measured import measured
    from grape_bench.rules.names import RULES

    parsed = RuleName.parse(name)
    reference = parsed.reference
    if not parsed.file and reference not in RULES:
        raise unknown("rule", name, RULES, hint="grape-bench list rules")
    rule = RULES.get(reference)
    yield "rule", f"{name}: {(inspect.getdoc(rule) or '').splitlines()[0]}"
    entry = entry_of(name)
    if entry:
        yield "family", entry.family
        yield "source", entry.source
        yield "waits for", entry.waits
        yield "needs", entry.needs or "nothing beyond a forward and the error"
    yield "checked", checked(name)
    if one := measured().get(reference):
        yield "measured", f"{one.entrant}; {one.forwards} forwards per step; {one.step_ratio} of BP's step time"
        yield "weights", one.transport
        yield "control", one.verdicts
    yield "settings", ", ".join(_setting(*one) for one in parameters(rule, RULES.defaults(reference))) or "none"
    for word, used, around in (("anchors", parsed.anchored, Anchored), ("finish", parsed.finished, Finished)):
        if used:
            yield word, ", ".join(_setting(*one) for one in parameters(around)[1:])
    if device := device_settings(rule):
        yield "device", f"{', '.join(device)} (docs/rules.md#limits-of-a-device)"
    if entry:
        space = "; ".join(f"{setting} in {_range(axis)}" for setting, axis in entry.space.items())
        yield "to tune", space or "the learning rate alone"


def _setting(name: str, default: Any) -> str:
    return name if default is inspect.Parameter.empty else f"{name} = {default!r}"


def _range(axis: Any) -> str:
    ((kind, values),) = axis.items()
    return f"{values}" if kind == "choice" else f"{values[0]:g} to {values[1]:g} ({kind})"
