"""Rules that misbehave beside bp: each costs only its own job, which gets a status with a reason."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from grape_bench.cli.failures import exit_code, failures
from grape_bench.execute.executor import Options
from grape_bench.execute.sweep import Request, run_sweep
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.record.record import Record
from grape_bench.train.checkpoint_files import Period
from tests.execute.misbehavior import MISBEHAVIORS, Case, combinations, suite, write_rule
from tests.execute.sweeps import Watch

LIMIT_S, LIMIT_BYTES, LOG_BYTES = 15.0, 1_200 * 2**20, 4 * 2**20


@dataclass(frozen=True)
class Swept:
    """A sweep of misbehaving rules, and the records by the rule's name."""

    folder: Path
    records: dict[str, Record]
    warnings: list[str]


def sweep(folder: Path, cases: Sequence[Case]) -> Swept:
    """Run the rules of `cases` beside bp, two jobs at a time."""
    rules = [write_rule(folder, case) for case in cases]
    plan = make_plan(str(suite(folder, rules)), Overrides())
    options = Options(slots=2, time_limit_s=LIMIT_S, memory_limit=LIMIT_BYTES, checkpoint_every=Period(epochs=1))
    request, watch = Request(plan, folder / "runs" / "acts", options=options), Watch()
    records = run_sweep(request, watch, None)
    assert exit_code(records) == (0 if all(record.status == "finished" for record in records) else 1)
    assert len(records) == len(watch.records) == len(cases) + 1
    return Swept(request.folder, {record.job.rule_name.label: record for record in records}, watch.warnings)


def check_fate(swept: Swept, case: Case) -> None:
    """Check that the job of `case` ended as expected, and that bp still finished."""
    record = swept.records[case.name]
    fate = f"{record.status}: {record.reason}"
    assert re.match(case.ends, fate, re.DOTALL), fate
    assert swept.records["bp"].status == "finished"
    folder = swept.folder / record.name
    assert len(record.reason) < 5000
    if folder.is_dir() and (folder / "stderr.txt").is_file():
        assert (folder / "stderr.txt").stat().st_size < LOG_BYTES
    (told,) = failures([record], swept.folder) or [""]
    assert "\x1b" not in told and len(told) < 20_000
    if record.status == "finished":
        assert record.job.epochs == len((folder / "curve.csv").read_text().splitlines()) - 1, "each epoch once"


EVERY = {what.name: Case(what, "signal") for what in MISBEHAVIORS}


@pytest.fixture(scope="module")
def every_rule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """One sweep of all misbehaviors in the third signal."""
    swept = sweep(tmp_path_factory.mktemp("every"), list(EVERY.values()))
    yield swept
    assert subprocess.run(["pgrep", "-f", "^sleep 613$"], capture_output=True).returncode == 1, "a daemon is left"


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_a_rule_that_misbehaves_costs_only_its_own_job(name: str, every_rule: Swept) -> None:
    check_fate(every_rule, EVERY[name])


DRAWN = {case.name: case for case in combinations(seed=17, count=24)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """One sweep of misbehaviors at moments that are drawn at random."""
    return sweep(tmp_path_factory.mktemp("drawn"), list(DRAWN.values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_it_costs_only_its_own_job_at_every_moment(name: str, drawn: Swept) -> None:
    check_fate(drawn, DRAWN[name])
