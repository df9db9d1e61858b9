"""`grape-bench compare`: test whether one set of runs, or one rule, is better than another."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.names import RuleReference, SuiteName
from grape_bench.cli.overrides import comparing, overrides_of
from grape_bench.cli.say import as_json, say, say_json
from grape_bench.cli.sweep import executing, request_of, sweep
from grape_bench.cli.tracking import mirror_of, say_where, tracking
from grape_bench.errors import UserError

if TYPE_CHECKING:
    from grape_bench.plan.expand import Plan
    from grape_bench.record.record import Record
    from grape_bench.score.compare import Comparison, Side

REFERENCES = ("bp", "frozen")


@click.command("compare")
@click.argument("compared", nargs=-1, required=True, metavar="A B | RULE...")
@click.option(
    "--against",
    multiple=True,
    type=RuleReference(),
    metavar="RULE",
    help="Compare the rules with this one; may be repeated.",
)
@click.option("--suite", type=SuiteName(), help="Compare rules on this suite; missing jobs run first.")
@click.option("--fail-if-worse", is_flag=True, help="Exit with code 1 if A is significantly worse than B or lost runs.")
@tracking("Store to copy records to, or none. Experiments are read from it too.")
@comparing
@executing
@as_json
def command(
    compared: tuple[str, ...],
    against: tuple[str, ...],
    suite: str | None,
    fail_if_worse: bool,
    json: bool,
    **given: Any,
) -> None:
    """Compare two sets of runs, or rules on a suite, paired by task and seed.

    A and B are folders of runs, mlflow:SUITE@VERSION, or names of recorded tables. WHERE#RULE selects one rule of a
    set. Without #RULE, the only rule of A is compared with the only rule of B, or each shared rule with itself:

      grape-bench compare runs/quickstart#grape runs/quickstart#dfa

    With --suite, each RULE is compared with each --against rule, and missing jobs run first:

      grape-bench compare my.py:MyRule --against dfa --suite quickstart
    """
    if suite:
        show(_on_suite(suite, compared, against, given), fail_if_worse, json)
        return
    if against or len(compared) != 2:
        hint = "grape-bench compare A B, or grape-bench compare RULE --against RULE --suite SUITE"
        raise UserError("give two sets of runs, or rules and --suite", where="compare", hint=hint)
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.score.compare import compare_sides

    with deadline(FOLDER_S, " ".join(compared)):
        first, second = (_side(reference, given["tracking_uri"]) for reference in compared)
        comparisons = compare_sides(first, second)
    show(comparisons, fail_if_worse, json)


def show(comparisons: list[Comparison], fail_if_worse: bool, json: bool) -> None:
    """Print the comparisons. Exit with code 1 if `fail_if_worse` is set and one of them is worse."""
    from grape_bench.report.comparison import render, values
    from grape_bench.report.console import PlainConsole

    if json:
        say_json([values(comparison) for comparison in comparisons])
    else:
        PlainConsole().print(render(comparisons))
    worse = [comparison for comparison in comparisons if comparison.worse]
    if fail_if_worse and worse:
        for comparison in worse:
            say(f"worse: {comparison.first} than {comparison.second}", err=True)
        sys.exit(1)


def _side(reference: str, tracking_uri: str) -> Side:
    from grape_bench.score.compare import Side
    from grape_bench.track.references import open_runs

    where, _, rule = reference.partition("#")
    runs = open_runs(where, tracking_uri)
    if runs.note:
        say(runs.note)
    return Side(where, runs.records, rule)


def _on_suite(suite: str, rules: tuple[str, ...], against: tuple[str, ...], given: dict[str, Any]) -> list[Comparison]:
    """Run the missing jobs of the suite and compare the rules."""
    from grape_bench.cli.failures import failures
    from grape_bench.plan.expand import make_plan
    from grape_bench.score.compare import compare_rules

    if not against:
        raise UserError("no rule to compare with", where="compare --suite", hint="--against dfa")
    wanted = tuple(dict.fromkeys((*rules, *against, *REFERENCES)))
    plan = make_plan(suite, overrides_of({**given, "rules": wanted, "only": wanted}))
    if plan.note:
        say(plan.note)
    records = _records(plan, given)
    for line in failures(records, given["out"] / plan.suite.name):
        say(line, err=True)
    return compare_rules(records, rules, against)


def _records(plan: Plan, given: dict[str, Any]) -> list[Record]:
    """The records of the plan's jobs. Jobs without a recorded or finished result run now."""
    from grape_bench.publish.baselines import recorded_jobs

    known, refused = ({}, []) if given["fresh"] else recorded_jobs(plan.suite.name)
    for line in refused:
        say(line, err=True)
    found = {job.id: known[job.id] for job in plan.jobs if job.id in known and job.is_current(known[job.id].job)}
    missing = [job for job in plan.jobs if job.id not in found]
    if found:
        say(f"{len(found)} of {len(plan.jobs)} jobs are already recorded and are not repeated")
    if missing:
        request = request_of(replace(plan, jobs=missing), given["out"] / plan.suite.name, given)
        mirror = mirror_of(given["tracking_uri"])
        found |= {record.id: record for record in sweep(request, mirror)}
        say_where(request.folder, mirror)
    return [found[job.id] for job in plan.jobs]
