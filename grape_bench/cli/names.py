"""Shell completion of suites, rules and folders of runs. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from typing_extensions import override


class _Name(click.ParamType[Any]):
    """A string argument with completions. It also completes files, because rules, suites and runs may be paths."""

    name = "name"

    def names(self, context: click.Context) -> Iterable[str]:
        """The known names."""
        raise NotImplementedError

    @override
    def shell_complete(self, context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin with what was typed, or files if there are none."""
        found = [CompletionItem(name) for name in self.names(context) if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class SuiteName(_Name):
    """A suite by its name, or its .toml file."""

    name = "suite"

    @override
    def names(self, context: click.Context) -> Iterable[str]:
        from grape_bench.plan.find import suite_files

        return list(suite_files())


class RuleReference(_Name):
    """A rule by its name, optionally with anchors or a finish, or file.py:MyRule."""

    name = "rule"

    @override
    def names(self, context: click.Context) -> Iterable[str]:
        from grape_bench.record.rule_name import ANCHOR, FINISH
        from grape_bench.rules.names import RULES

        return [name + end for name in RULES for end in ("", ANCHOR, FINISH)]


class RunFolder(_Name):
    """A folder of runs, such as runs/quickstart, below --out."""

    @override
    def names(self, context: click.Context) -> Iterable[str]:
        from grape_bench.record.manifest import MANIFEST

        out = Path(context.params.get("out") or "runs")
        return sorted(str(path.parent) for path in out.glob(f"*/{MANIFEST}"))

    @override
    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Path:
        """Return the folder's path. The command checks that it exists."""
        return Path(value)


class RunName(_Name):
    """One run below --out, by the name of its folder."""

    @override
    def names(self, context: click.Context) -> Iterable[str]:
        from grape_bench.record.record import RECORD

        out = Path(context.params.get("out") or "runs")
        return sorted(path.parent.name for path in out.glob(f"*/*/{RECORD}"))


class ListedName(_Name):
    """A name that `list KIND` knows: a rule, suite, model, data set or objective."""

    @override
    def names(self, context: click.Context) -> Iterable[str]:
        from grape_bench.cli.list_entries import entries

        kind = str(context.params.get("kind"))
        return [str(one["name"]) for one in entries(kind, "*" if kind == "models" else None)]
