"""Check a rule: run every check on every model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from grape_bench.contract.broken import BrokenPromiseError
from grape_bench.contract.cases import CASES, FURTHER_CASES, Case, MakeRule
from grape_bench.contract.checks import CHECKS
from grape_bench.contract.report import Report, Result
from grape_bench.errors import DoesNotApplyError, raised


def check_rule(
    make_rule: MakeRule, cases: Sequence[Case] = (), on_result: Callable[[Result], None] = lambda _: None
) -> Report:
    """Check the rule that `make_rule` makes. Every call must make a new one. `on_result` is called with each result.

    Without `cases`, the rule is checked on all of `CASES`. If it applies to none of them (a rule for recurrent
    networks, for example), it is checked on `FURTHER_CASES`.

    An exception in a rule counts as a failed check. If the rule cannot take a training step on a model, the remaining
    checks on that model are skipped. A model for which the rule raises DoesNotApplyError is skipped.
    """
    results: list[Result] = []

    def run(chosen: Sequence[Case]) -> None:
        for case in chosen:
            for result in _on(case, make_rule):
                results.append(result)
                on_result(result)

    run(cases or CASES)
    if not cases and not any(result.applies for result in results):
        run(FURTHER_CASES)
    return Report(results)


def _on(case: Case, make_rule: MakeRule) -> Iterator[Result]:
    for name, check in CHECKS.items():
        with torch.random.fork_rng():
            try:
                yield Result(case.name, name, True, check(case, make_rule))
            except DoesNotApplyError as reason:
                yield Result(case.name, "does not apply", True, reason.what, applies=False)
                return
            except BrokenPromiseError as broken:
                yield Result(case.name, name, False, str(broken))
            except (Exception, SystemExit) as error:
                stuck = name == next(iter(CHECKS))
                rest = " (the remaining checks on this model are skipped)" if stuck else ""
                yield Result(case.name, name, False, raised(error) + rest)
                if stuck:
                    return
