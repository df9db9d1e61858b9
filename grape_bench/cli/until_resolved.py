"""`grape-bench run --until-resolved`: add seeds until the rules under test are settled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grape_bench.cli.overrides import overrides_of
from grape_bench.cli.say import say
from grape_bench.cli.sweep import request_of, sweep
from grape_bench.errors import UserError

if TYPE_CHECKING:
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.expand import Plan
    from grape_bench.record.record import Record
    from grape_bench.track.mirror import Mirror


def until_resolved(
    suite: str, plan: Plan, given: dict[str, Any], mirror: Mirror | None
) -> tuple[Plan, Request, list[Record]]:
    """Add seeds until the rules under test are settled or the last look is reached."""
    from grape_bench.plan.expand import make_plan
    from grape_bench.score.sequential import looks, unsettled
    from grape_bench.score.table import score

    planned = looks(plan.suite.seeds, given["max_seeds"])
    if len(planned) < 2:
        raise UserError(
            f"--max-seeds {given['max_seeds']} adds no seed to the {plan.suite.seeds} of the suite",
            where="run --until-resolved",
            hint=f"--max-seeds {plan.suite.seeds + 2}, or fewer --seeds",
        )
    say(f"looks at {', '.join(map(str, planned))} seeds; each test is made at 5 % / {len(planned)}")
    for seeds in planned:
        wider = make_plan(suite, replace(overrides_of(given), seeds=seeds))
        jobs = [replace(job, looks=len(planned)) for job in wider.jobs]
        request = request_of(replace(wider, jobs=jobs), given["out"] / plan.suite.name, given)
        # Records from earlier runs have no `looks`, but this decision uses them too.
        records = [replace(r, job=replace(r.job, looks=len(planned))) for r in sweep(request, mirror)]
        left = unsettled(score(records), given["rules"])
        say(f"{seeds} seeds: {f'{len(left)} not settled, such as {left[0]}' if left else 'all is settled'}")
        if not left:
            break
    return wider, request, records
