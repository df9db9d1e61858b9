"""`grape-bench list`: list the names that suites and options accept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import TextWrapper
from typing import TYPE_CHECKING

import click

from grape_bench.cli.list_entries import KINDS, MANY, Entry, entries
from grape_bench.cli.names import ListedName
from grape_bench.cli.say import as_json, say, say_json

if TYPE_CHECKING:
    from rich.table import Table

OWN = {
    "models": "path/to/file.py:factory",
    "datasets": "path/to/file.py:loader",
    "objectives": "path/to/file.py:MyObjective",
}
_PARAGRAPH = TextWrapper(76, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.argument("name", type=ListedName(), required=False)
@click.option("--all", "every", is_flag=True, help=f"List more than {MANY} models.")
@as_json
def command(kind: str | None, name: str | None, every: bool, json: bool) -> None:
    """List the suites, rules, models, data sets and objectives, or only one kind.

    NAME may be a pattern. `list rules NAME` describes one rule: source, settings, what to tune. `list models
    'timm:vit*'` shows size, input and what the coverage sweep found. `list datasets` shows what is on this machine.
    """
    if json:
        say_json({each: entries(each) for each in KINDS} if kind is None else entries(kind, name))
        return
    for each in KINDS if kind is None else (kind,):
        if kind is None:
            say(word=each)
        _show(each, name, every, "  " if kind is None else "")


def _show(kind: str, name: str | None, every: bool, indent: str) -> None:
    """Print one kind, as a table if there is more to show than names."""
    from grape_bench.cli.rule_list import by_family, described
    from grape_bench.report.console import PlainConsole

    if kind == "rules" and not indent:
        PlainConsole().print(by_family() if name is None else described(name))
        if name is None:
            say("\nNAME+anchor: with anchors; NAME+finish: ended by BP; file.py:MyRule: your own")
            say("One rule in detail: grape-bench list rules NAME")
        return
    found = entries(kind, name)
    if kind in ("datasets", "models") and (name or kind == "datasets") and not indent:
        found = [one for one in found if len(one) > 1]  # leave out placeholders such as parquet:path/to/folder
        shown = found if every else found[:MANY]
        PlainConsole().print(_datasets(shown) if kind == "datasets" else _models(shown))
        if len(found) > len(shown):
            say(f"and {len(found) - len(shown)} more: a narrower pattern, or --all")
    else:
        for line in _lines(kind, found, with_file=name is not None):
            say(f"{indent}{line}")
    if kind == "datasets" and not indent and name is None:
        from grape_bench.data.names import EXAMPLES

        for example in EXAMPLES.values():
            say(example)
    if kind in OWN and name is None:
        say(f"{indent}{OWN[kind]}")
    if kind == "models" and name is None:
        say(f"{indent}size, input, and what the sweep found: grape-bench list models 'timm:vit*'")


def _lines(kind: str, found: Sequence[Entry], with_file: bool) -> Iterator[str]:
    for one in found:
        if kind != "suites":
            yield str(one["name"])
        elif "error" in one:
            yield f"{one['name']}: {one['error']} ({one['file']})"
        else:
            yield f"{one['name']} {one['version']}: {len(one['rules'])} rules, {one['seeds']} seeds"
            yield from _PARAGRAPH.wrap(", ".join(task["name"] for task in one["tasks"]))
            if with_file:
                yield f"  {one['file']}"


def _models(found: Sequence[Entry]) -> Table:
    """Size, input and what the sweep found, at most 80 columns wide."""
    table = _table(("model", "parameters", "input", "sweep"), right=("parameters", "input"))
    for one in found:
        number = one.get("parameters")
        size = f"{number / 1e6:.1f} M" if number else ""
        table.add_row(one["name"], size, one.get("input") or "", one.get("attached") or "")
    table.caption = "sweep: yes = this model passed the checks of docs/coverage.md; family = one of its family did"
    return table


def _datasets(found: Sequence[Entry]) -> Table:
    """Size, input, and where the data is, at most 80 columns wide."""
    table = _table(("data set", "train", "test", "input", "unit", "where"), right=("train", "test", "input"))
    for one in found:
        train, test = (f"{one[part]:,}" if one.get(part) else "" for part in ("train", "test"))
        table.add_row(one["name"], train, test, *(one.get(part) or "" for part in ("input", "unit", "place")))
    table.caption = "Hub: grape-bench data prepare NAME. missing: put the files into $GRAPE_BENCH_DATA/NAME."
    return table


def _table(titles: Sequence[str], right: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, width=80, caption_justify="left")
    for title in titles:
        number = title in right
        table.add_column(title, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table
