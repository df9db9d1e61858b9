"""`grape-bench run SUITE --lite`: one seed of a rule beside the recorded results, which do not run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grape_bench.cli.overrides import overrides_of
from grape_bench.cli.say import say
from grape_bench.cli.sweep import request_of, sweep
from grape_bench.cli.tracking import mirror_of, say_where
from grape_bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from grape_bench.plan.expand import Plan
    from grape_bench.record.record import Record


def lite(suite: str, given: dict[str, Any]) -> int:
    """Run the jobs of a lite plan, print their rows beside the recorded ones, and return the exit code."""
    from grape_bench.cli.failures import exit_code, failures
    from grape_bench.plan.expand import make_plan
    from grape_bench.publish.baselines import recorded_jobs

    if not given["suite"] or given["until_resolved"]:
        hint = "grape-bench run SUITE --lite --rule my_rule.py:MyRule"
        raise UserError("--lite takes a suite, and no --until-resolved", where="run --lite", hint=hint)
    overrides = overrides_of(given)
    plan, whole = make_plan(suite, overrides), make_plan(suite, replace(overrides, lite=False, only=()))
    folder = given["out"] / plan.suite.name
    known, refused = recorded_jobs(plan.suite.name)
    for line in refused:
        say(line, err=True)
    plan = _not_recorded(plan, known)
    recorded = _recorded(whole, plan, {**_own(folder), **known})
    if not any(record.rule == "bp" for record in recorded):
        raise _nothing_recorded(plan, known, given)
    if plan.note:
        say(plan.note)
    say(f"{len(recorded)} recorded results do not run again")
    mirror = mirror_of(given["tracking_uri"])
    request = request_of(plan, folder, given)
    records = sweep(request, mirror)
    _show(plan, recorded, records)
    for line in failures(records, request.folder):
        say(line, err=True)
    say(f"records  {request.folder}/*/record.json; the same command without --lite runs the other jobs")
    say_where(request.folder, mirror)
    return exit_code(records)


def _own(folder: Path) -> dict[str, Record]:
    """The results in the folder of the user's own runs, by job id."""
    from grape_bench.record.folder import read_folder

    return {record.id: record for record in read_folder(folder).records if record.status.is_result}


def _not_recorded(plan: Plan, known: Mapping[str, Record]) -> Plan:
    """`plan` without the rules whose jobs are recorded already. Raises UserError if no rule is left."""
    missing = {job.rule for job in plan.jobs if job.id not in known}
    if not missing:
        rules = dict.fromkeys(job.rule_name.label for job in plan.jobs)
        first, name = next(iter(rules), "RULE"), plan.suite.name
        hint = f"grape-bench compare {name}#{first} {name}#bp"
        raise UserError(f"already recorded, with all seeds: {', '.join(rules)}", where="--lite", hint=hint)
    return replace(plan, jobs=[job for job in plan.jobs if job.rule in missing])


def _recorded(whole: Plan, lite: Plan, known: Mapping[str, Record]) -> list[Record]:
    """The known results of all other rules on the tasks of `lite`, in the order of `whole`."""
    rules, tasks = ({getattr(job, name) for job in lite.jobs} for name in ("rule", "task"))
    others = [job for job in whole.jobs if job.rule not in rules and job.task in tasks and job.id in known]
    return [known[job.id] for job in others if job.is_current(known[job.id].job)]


def _nothing_recorded(plan: Plan, known: Mapping[str, Record], given: Mapping[str, Any]) -> UserError:
    """The error if there are no recorded results to compare with: the reason, and what to type."""
    which = f"{plan.suite.name}@{plan.suite.version}"
    if any(record.job.trials > 1 for record in known.values()) and plan.tuned.command:
        rules = ", ".join(dict.fromkeys(job.rule_name.label for job in plan.jobs))
        what = f"the recorded results of {which} have tuned settings, and these rules have none: {rules}"
        return UserError(what, where="run --lite", hint=plan.tuned.command)
    what = f"no recorded results of {which} with these settings" if known else f"no recorded results of {which}"
    changes = [f"--set {shlex.quote(one)}" for one in given["settings"]] + ["--untuned"] * given["untuned"]
    command = " ".join(["grape-bench run", given["suite"], "--only bp --only dfa --only frozen", *changes])
    return UserError(
        what,
        where="run --lite",
        allowed=f"results/{plan.suite.name}/runs, as in a checkout of grape-bench, or your own runs of the references",
        hint=f"{command}, then the same command again",
    )


def _show(plan: Plan, recorded: list[Record], records: list[Record]) -> None:
    from grape_bench.report import terminal
    from grape_bench.report.console import PlainConsole
    from grape_bench.score.lite import Lite
    from grape_bench.score.table import score

    rules = frozenset(job.rule for job in plan.jobs)
    console = PlainConsole()
    console.print()
    console.print(terminal.render(score([*recorded, *records], Lite(rules, len(plan.suite.tasks)))))
