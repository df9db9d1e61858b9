"""`gb.run`: run a suite from Python, in a script or a notebook, as `grape-bench run` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grape_bench.cli.say import say
from grape_bench.cli.system import check_system

if TYPE_CHECKING:
    from grape_bench.report.result_table import ResultTable


def run(
    suite: str,
    rules: str | Sequence[str] = (),
    *,
    only: str | Sequence[str] = (),
    seeds: int | None = None,
    settings: str | Sequence[str] = (),
    out: str | Path = "runs",
) -> ResultTable:
    """Run the jobs of `suite` that are not done yet, and return its table.

    `suite` is a name or a .toml file. `rules` are added to its rules, `only` selects some of them, and `settings` are
    overrides such as "task.epochs=5". Each may be a single string. Records go to `out`/SUITE, where `grape-bench run`
    also finds them. A notebook shows progress in one output area that is updated in place. A script prints one line
    per job. A job that failed gets a line of output, and the table shows its status. Raises UserError if an argument or
    the suite has a mistake.
    """
    check_system()
    from grape_bench.cli.failures import failures
    from grape_bench.cli.sweep import display
    from grape_bench.execute.sweep import Request, run_sweep
    from grape_bench.plan.expand import make_plan
    from grape_bench.plan.overrides import Overrides
    from grape_bench.record.folder import read_folder
    from grape_bench.report.result_table import ResultTable
    from grape_bench.score.table import score

    added, kept, changed = ((given,) if isinstance(given, str) else tuple(given) for given in (rules, only, settings))
    plan = make_plan(suite, Overrides(added, kept, seeds, changed))
    if plan.note:
        say(plan.note)
    request = Request(plan, Path(out) / plan.suite.name)
    records = run_sweep(request, display(), None)
    for line in failures(records, request.folder):
        say(line)
    shown = read_folder(request.folder).found({job.id for job in plan.jobs})
    return ResultTable(score(shown.records), request.folder)
