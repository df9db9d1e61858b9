"""The options by which `run` and `plan` choose jobs, and the folder that both look into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_OPTIONS = (
    click.argument("suite"),
    click.option("--rule", "rules", multiple=True, metavar="RULE", help="Add a rule: NAME or file.py:MyRule."),
    click.option("--only", multiple=True, metavar="RULE", help="Only this rule of the suite; may be repeated."),
    click.option("--seeds", type=int, metavar="N", help="Seeds 0 to N-1 instead of the suite's number."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change the suite: task.epochs=5, digits-mlp.optimizer.lr=1e-3, rule.dfa.lr=1e-4.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Where results go: OUT/SUITE.",
    ),
)


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters suite, rules, only, seeds, settings and out."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
