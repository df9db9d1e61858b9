"""The options of `run`, `plan`, `tune` and `compare` that select jobs, override the suite and set the output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.names import RuleReference, SuiteName
from grape_bench.cli.one_task import OPTIONS

if TYPE_CHECKING:
    from grape_bench.plan.overrides import Overrides

_JOBS = (
    click.option(
        "--rule",
        "rules",
        multiple=True,
        type=RuleReference(),
        metavar="RULE",
        help="Add a rule: NAME or file.py:MyRule. Without a suite, the rules instead of bp, dfa and frozen.",
    ),
    click.option(
        "--only",
        multiple=True,
        type=RuleReference(),
        metavar="RULE",
        help="Run only this rule of the suite. May be repeated.",
    ),
)
_CHANGES = (
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change the suite: task.epochs=5, digits-mlp.optimizer.lr=1e-3, rule.dfa.lr=1e-4.",
    ),
    click.option("--nproc", type=click.IntRange(min=1), metavar="N", help="Train each job in N processes together."),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Where results go: OUT/SUITE.",
    ),
)
_RESULTS = (
    click.option("--seeds", type=int, metavar="N", help="Seeds 0 to N-1 instead of the suite's number."),
    click.option("--untuned", is_flag=True, help="Ignore tuned settings."),
)


_OPEN = click.option("--open", is_flag=True, help="Also run the open settings of the suite: baselines/SUITE/open.toml.")
_LITE = click.option("--lite", is_flag=True, help="One seed of the --rule and --only rules, beside recorded results.")


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters suite, rules, only, settings, nproc, out, seeds, untuned, open and lite.

    The suite may be absent, and the parameters of `one_task` describe a task instead.
    """
    suite = click.argument("suite", required=False, type=SuiteName())
    return _give(command, (suite, *OPTIONS, *_JOBS, *_CHANGES, *_RESULTS, _OPEN, _LITE))


def searching(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters suite, rules, only, settings, nproc and out."""
    return _give(command, (click.argument("suite", type=SuiteName()), *_JOBS, *_CHANGES))


def comparing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters settings, nproc, out, seeds and untuned."""
    return _give(command, (*_CHANGES, *_RESULTS))


def overrides_of(given: dict[str, Any]) -> Overrides:
    """The overrides that these parameters ask for."""
    from grape_bench.plan.overrides import Overrides

    nproc = (f"task.nproc={given['nproc']}",) if given["nproc"] else ()
    settings = (*given["settings"], *nproc)
    more = {name: given.get(name, False) for name in ("untuned", "open", "lite")}
    return Overrides(given["rules"], given["only"], given.get("seeds"), settings, **more)


def _give(command: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command
