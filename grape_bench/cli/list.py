"""`grape-bench list`: list the names that suites and options accept."""

from __future__ import annotations

import click

from grape_bench.cli.say import say

KINDS = ("suites", "rules", "models", "datasets", "objectives")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """List the suites, rules, models, data sets and objectives, or only one kind."""
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
