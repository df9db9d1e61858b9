"""`grape-bench run --until-resolved`, with trainings that are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grape_bench.cli import run, until_resolved
from grape_bench.errors import UserError
from grape_bench.record.job import Job
from grape_bench.record.record import write_record
from tests.score.records import make

SUITE = """
name = "small"
version = "1"
rules = ["bp", "dfa", "fa"]
seeds = 3
[[task]]
name = "digits-mlp"
model = "mlp"
dataset = "digits"
epochs = 1
batch_size = 64
optimizer = { name = "adamw", lr = 1e-3 }
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Job]]:
    """The jobs of each sweep. fa is 2 points below BP, with noise that eight seeds see through."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SUITE)
    sweeps: list[list[Job]] = []
    noise = (2.0, -1.8, 1.0, -1.0, 0.8, 0.1, -0.2, 0.1, 0.1, 0.0)

    def sweep(request: Any, mirror: Any) -> list[Any]:
        sweeps.append(request.plan.jobs)
        level = {"bp": 90.0, "dfa": 50.0, "fa": 88.0}
        made = []
        for job in request.plan.jobs:
            test = level[job.rule] + (noise[job.seed] if job.rule == "fa" else 0.01 * job.seed)
            made.append(replace(make(job.rule, job.seed, test), job=job, id=job.id, name=job.name))
            (request.folder / job.name).mkdir(parents=True, exist_ok=True)
            write_record(request.folder / job.name, made[-1])
        return made

    monkeypatch.setattr(until_resolved, "sweep", sweep)
    return sweeps


def call(*arguments: str) -> Any:
    return CliRunner().invoke(run.command, ["small.toml", "--tracking-uri", "none", *arguments])


def test_seeds_are_added_until_the_words_are_settled(asked: list[list[Job]]) -> None:
    result = call("--until-resolved", "--rule", "fa")
    assert result.exit_code == 0, result.output
    assert "looks at 3, 5, 8, 10 seeds; each test is made at 5 % / 4" in result.output
    assert [len(jobs) for jobs in asked] == [9, 15, 24]
    assert "3 seeds: 1 not settled, such as digits-mlp fa vs_bp" in result.output
    assert "8 seeds: all is settled" in result.output
    assert {job.looks for jobs in asked for job in jobs} == {4}, "planned before the first seed, and recorded"
    assert "at most 4 looks" in " ".join(result.output.split())


def test_the_maximum_ends_it(asked: list[list[Job]]) -> None:
    result = call("--until-resolved", "--max-seeds", "4", "--rule", "fa")
    assert [len(jobs) for jobs in asked] == [9, 12] and "4 seeds: 1 not settled" in result.output


def test_a_maximum_that_adds_nothing_is_refused(asked: list[list[Job]]) -> None:
    result = call("--until-resolved", "--max-seeds", "3")
    assert "adds no seed to the 3 of the suite" in str(result.exception) and not asked


def test_a_part_of_the_jobs_settles_nothing(asked: list[list[Job]]) -> None:
    result = call("--until-resolved", "--shard", "1/2")
    assert isinstance(result.exception, UserError) and not asked
    assert str(result.exception) == (
        "run --until-resolved: --until-resolved needs the records of all jobs, and --shard 1/2 runs only some of them\n"
        "  try: leave out --shard; --executor slurm and --executor ray share all jobs among machines"
    )


def test_the_looks_are_no_part_of_an_id() -> None:
    job = make("bp").job
    assert replace(job, looks=4).id == replace(job, margin=0.2, space={"lr": {"log": [1, 2]}}).id == job.id
