"""`grape-bench check`: whether a rule keeps the promises of every rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.names import RuleReference
from grape_bench.cli.say import say

if TYPE_CHECKING:
    from grape_bench.execute.child import Send

MODELS = ("mlp", "cnn", "vit", "decoder", "energy")  # the names of contract.cases, without importing torch


@click.command("check")
@click.argument("rule", type=RuleReference())
@click.option(
    "--model", "models", multiple=True, type=click.Choice(MODELS), help="Check only on this model. May be repeated."
)
def command(rule: str, models: tuple[str, ...]) -> None:
    """Check RULE (a name or file.py:MyRule) on an MLP, a CNN, a ViT and a decoder, or else on an energy model.

    The rule must fill every gradient that it claims, give the same numbers for the same seed, leave logits, model and
    random state alone, keep its state in state_dict, and use as much of backpropagation as it declares. Where a rule
    raises DoesNotApplyError, the reason is shown instead.
    """
    from contextlib import closing
    from pathlib import Path
    from tempfile import gettempdir

    from grape_bench.errors import UserError
    from grape_bench.execute.child import Child
    from grape_bench.execute.outcome import describe

    ok = None
    request = {"rule": rule, "models": models}
    with closing(Child(f"{__name__}:check", request, _show_output, Path(gettempdir()))) as child:
        for kind, value in child.messages():
            if kind == "mistake":
                raise UserError(**value)
            if kind == "line":
                _show(**value)
            if kind == "end":
                say(f"{rule}: {value['report']}")
                ok = value["ok"]
        code = child.code()
    if ok is None:
        what = f"the rule has ended the process that checks it: {describe(code)}"
        raise UserError(what, where=rule, hint="a rule that does not call `exit`")
    if not ok:
        raise SystemExit(1)


def check(request: dict[str, Any], send: Send) -> None:
    """In a child: check the rule, and send a line for each result."""
    import torch

    from grape_bench.contract.cases import CASES, FURTHER_CASES
    from grape_bench.contract.check import check_rule
    from grape_bench.errors import UserError
    from grape_bench.rules.make import make_rule

    rule, models = request["rule"], request["models"]
    try:
        make_rule(rule)  # fail early on a wrong name
    except UserError as error:
        send("mistake", error.parts)
        return
    torch.set_num_threads(1)  # the models are too small for more threads
    cases = [case for case in (*CASES, *FURTHER_CASES) if case.name in models]
    report = check_rule(
        lambda: make_rule(rule), cases, lambda result: send("line", {"line": str(result), "verdict": result.verdict})
    )
    send("end", {"report": str(report), "ok": report.ok})


def _show(line: str, verdict: str) -> None:
    before, _, after = line.partition(f" {verdict} ")
    say(f" {after}", before=f"{before} ", word=verdict, color={"ok": "green", "FAILED": "red"}.get(verdict, ""))


def _show_output(printed: bytes) -> None:
    say(printed.decode(errors="replace").removesuffix("\n"), err=True)
