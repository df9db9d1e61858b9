"""`grape-bench check`: check that a rule keeps the contract of all rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.names import RuleReference
from grape_bench.cli.say import as_json, say, say_json

if TYPE_CHECKING:
    from grape_bench.contract.report import Result
    from grape_bench.execute.child import Send

MODELS = ("mlp", "cnn", "vit", "decoder", "energy")  # as in contract.cases, which would import torch


@click.command("check")
@click.argument("rule", type=RuleReference())
@click.option(
    "--model", "models", multiple=True, type=click.Choice(MODELS), help="Check only on this model. May be repeated."
)
@as_json
def command(rule: str, models: tuple[str, ...], json: bool) -> None:
    """Check RULE (a name or file.py:MyRule) on an MLP, a CNN, a ViT and a decoder.

    A rule that applies to none of them is checked on recurrent networks, a graph network and an energy model.

    The rule must fill every gradient that it claims, give the same numbers for the same seed, leave logits, model and
    random state alone, keep its state in state_dict, and use as much of backpropagation as it declares. Where a rule
    raises DoesNotApplyError, the reason is shown instead.
    """
    from contextlib import closing
    from pathlib import Path
    from tempfile import gettempdir

    from grape_bench.contract.report import Result
    from grape_bench.errors import UserError
    from grape_bench.execute.child import Child
    from grape_bench.execute.outcome import describe

    ok = None
    results = []
    request = {"rule": rule, "models": models}
    with closing(Child(f"{__name__}:check", request, _show_output, Path(gettempdir()))) as child:
        for kind, value in child.messages():
            if kind == "mistake":
                raise UserError(**value)
            if kind == "result":
                results.append(Result(**value))
                if not json:
                    _show(results[-1])
            if kind == "end":
                ok = value["ok"]
                if not json:
                    say(f"{rule}: {value['report']}")
        code = child.code()
    if ok is None:
        what = f"the rule has ended the process that checks it: {describe(code)}"
        raise UserError(what, where=rule, hint="a rule that does not call `exit`")
    if json:
        say_json({"rule": rule, "ok": ok, "results": [_values(result) for result in results]})
    if not ok:
        raise SystemExit(1)


def check(request: dict[str, Any], send: Send) -> None:
    """Check the rule in a child process, and send each result to the parent."""
    from dataclasses import asdict

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
    report = check_rule(lambda: make_rule(rule), cases, lambda result: send("result", asdict(result)))
    send("end", {"report": str(report), "ok": report.ok})


def _show(result: Result) -> None:
    verdict = result.verdict
    before, _, after = str(result).partition(f" {verdict} ")
    say(f" {after}", before=f"{before} ", word=verdict, color={"ok": "green", "FAILED": "red"}.get(verdict, ""))


def _values(result: Result) -> dict[str, str]:
    """The result for `--json`. `reason` says what was measured, or why the promise is broken or does not apply."""
    return {"case": result.case, "promise": result.check, "verdict": result.verdict, "reason": result.detail}


def _show_output(printed: bytes) -> None:
    say(printed.decode(errors="replace").removesuffix("\n"), err=True)
