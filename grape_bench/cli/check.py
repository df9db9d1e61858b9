"""`grape-bench check`: whether a rule keeps what every rule promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from grape_bench.contract.report import Result


@click.command("check")
@click.argument("rule")
def command(rule: str) -> None:
    """Check RULE (a name or file.py:MyRule) on an MLP, a CNN, a ViT and a decoder.

    That it fills every gradient it claims, repeats under a seed, leaves logits, model and random state alone,
    keeps its state in state_dict, and takes from backpropagation what it declares.
    """
    import torch

    from grape_bench.contract.check import check_rule
    from grape_bench.rules.make import make_rule

    make_rule(rule)  # a user's mistake ends here
    torch.set_num_threads(1)  # the models are too small to share out
    report = check_rule(lambda: make_rule(rule), on_result=_show)
    click.echo(f"{rule}: {report}")
    if not report.ok:
        raise SystemExit(1)


def _show(result: Result) -> None:
    verdict, color = ("ok", "green") if result.ok else ("FAILED", "red")
    click.echo(str(result).replace(verdict, click.style(verdict, fg=color), 1))
