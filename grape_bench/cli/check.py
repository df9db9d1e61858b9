"""`grape-bench check`: whether a rule keeps the promises of every rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grape_bench.cli.say import say

if TYPE_CHECKING:
    from grape_bench.contract.report import Result

MODELS = ("mlp", "cnn", "vit", "decoder")  # the names of contract.cases.CASES, without importing torch


@click.command("check")
@click.argument("rule")
@click.option(
    "--model", "models", multiple=True, type=click.Choice(MODELS), help="Check only on this model. May be repeated."
)
def command(rule: str, models: tuple[str, ...]) -> None:
    """Check RULE (a name or file.py:MyRule) on an MLP, a CNN, a ViT and a decoder.

    The rule must fill every gradient that it claims, give the same numbers for the same seed, leave logits, model and
    random state alone, keep its state in state_dict, and use as much of backpropagation as it declares. Where a rule
    raises DoesNotApplyError, the reason is shown instead.
    """
    import torch

    from grape_bench.contract.cases import CASES
    from grape_bench.contract.check import check_rule
    from grape_bench.rules.make import make_rule

    make_rule(rule)  # fail early on a wrong name
    torch.set_num_threads(1)  # the models are too small for more threads
    cases = [case for case in CASES if not models or case.name in models]
    report = check_rule(lambda: make_rule(rule), cases, on_result=_show)
    say(f"{rule}: {report}")
    if not report.ok:
        raise SystemExit(1)


def _show(result: Result) -> None:
    color = {"ok": "green", "FAILED": "red"}.get(result.verdict)
    say(str(result).replace(f" {result.verdict} ", f" {click.style(result.verdict, fg=color)} ", 1))
