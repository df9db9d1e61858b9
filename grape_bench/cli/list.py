"""`grape-bench list`: list the names that suites and options accept."""

from __future__ import annotations

import click

from grape_bench.cli.say import say

KINDS = ("suites", "rules", "models", "datasets", "objectives")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.argument("name", required=False)
def command(kind: str | None, name: str | None) -> None:
    """List the suites, rules, models, data sets and objectives, or only one kind.

    `list rules` groups the rules by family. `list rules NAME` describes one: source, settings, what to tune.
    """
    if kind == "rules":
        _show_rules(name)
        return
    if name is not None:
        raise click.UsageError("only rules have a description: grape-bench list rules NAME")
    for name in KINDS if kind is None else (kind,):
        if kind is None:
            say(click.style(name, bold=True))
        for line in _LINES[name]():
            say(f"  {line}" if kind is None else line)


def _suites() -> list[str]:
    from grape_bench.errors import UserError
    from grape_bench.plan.find import suite_files
    from grape_bench.plan.read import read_suite

    lines = []
    for name, path in suite_files().items():
        try:
            suite = read_suite(path)
        except UserError as error:  # a mistake in one file must not hide the other suites
            lines.append(f"{name}: {error.what} ({path})")
            continue
        tasks = ", ".join(task.name for task in suite.tasks)
        lines.append(f"{name} {suite.version}: {tasks}; {len(suite.rules)} rules, {suite.seeds} seeds ({path})")
    return lines


def _show_rules(name: str | None) -> None:
    from grape_bench.cli.rule_list import by_family, described
    from grape_bench.record.rule_name import ANCHOR, FINISH
    from grape_bench.report.console import PlainConsole

    if name is not None:
        PlainConsole().print(described(name))
        return
    PlainConsole().print(by_family())
    say(f"\nNAME{ANCHOR}: with anchors; NAME{FINISH}: ended by BP; file.py:MyRule: your own")
    say("One rule in detail: grape-bench list rules NAME")


def _rules() -> list[str]:
    from grape_bench.record.rule_name import ANCHOR, FINISH
    from grape_bench.rules.names import RULES

    return [
        *RULES,
        f"NAME{ANCHOR} (any rule with anchors)",
        f"NAME{FINISH} (any rule, then BP)",
        "path/to/file.py:MyRule",
    ]


def _models() -> list[str]:
    from grape_bench.models.names import MODELS, SOURCES

    return [*MODELS, *(f"{source}:NAME" for source in SOURCES), "path/to/file.py:factory"]


def _datasets() -> list[str]:
    from grape_bench.data.names import DATASETS, SOURCES

    return [*DATASETS, *(f"{source}:PATH" for source in SOURCES), "path/to/file.py:loader"]


def _objectives() -> list[str]:
    from grape_bench.objectives.names import OBJECTIVES

    return [*OBJECTIVES, "path/to/file.py:MyObjective"]


_LINES = {
    "suites": _suites,
    "rules": _rules,
    "models": _models,
    "datasets": _datasets,
    "objectives": _objectives,
}
