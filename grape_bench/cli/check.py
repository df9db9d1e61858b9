"""`grape-bench check`: whether a rule keeps the promises of every rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from grape_bench.contract.report import Result


@click.command("check")
@click.argument("rule")
def command(rule: str) -> None:
    """Check RULE (a name or file.py:MyRule) on an MLP, a CNN, a ViT and a decoder.

    The rule must fill every gradient that it claims, give the same numbers for the same seed, leave logits, model and
    random state alone, keep its state in state_dict, and use as much of backpropagation as it declares.
    """
    import torch

    from grape_bench.contract.check import check_rule
    from grape_bench.rules.make import make_rule

    make_rule(rule)  # fail early on a wrong name
    torch.set_num_threads(1)  # the models are too small for more threads
    report = check_rule(lambda: make_rule(rule), on_result=_show)
    click.echo(f"{rule}: {report}")
    if not report.ok:
        raise SystemExit(1)


def _show(result: Result) -> None:
    verdict, color = ("ok", "green") if result.ok else ("FAILED", "red")
    click.echo(str(result).replace(verdict, click.style(verdict, fg=color), 1))
