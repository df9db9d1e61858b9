"""The check before a sweep says which task and rule a mistake belongs to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from grape_bench.errors import DoesNotApplyError, UserError
from grape_bench.execute import preflight
from grape_bench.execute.pool import Pool
from grape_bench.execute.preflight import check
from grape_bench.job.forecast import forecast
from grape_bench.record.job import Job
from tests.job.jobs import job


@pytest.mark.parametrize(("where", "shown"), [("", "task 'cora', rule 'fa': no"), ("layer 3", "layer 3: no")])
def test_a_mistake_without_a_place_gets_its_task_and_rule(
    where: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Job) -> None:
        raise UserError("no", where=where)

    monkeypatch.setattr("grape_bench.job.run.check", refuse)
    monkeypatch.setattr("grape_bench.job.forecast._forecast", refuse)
    values = job("fa", task="cora").to_dict()
    with pytest.raises(UserError, match=f"^{shown}$"):
        check([values], "grape_bench.job.run")
    with pytest.raises(UserError, match=f"^{shown}$"):
        forecast([values], threads=1)


def gpu_count() -> int:
    """This module stands in for a trainer."""
    return 0


def rehearse(spec: Job) -> None:
    """What a user's rule may do in its first step, by seed."""
    print("x" * 10_000_000)
    if spec.seed == 1:
        os._exit(3)
    if spec.seed == 2:
        time.sleep(60)
    if spec.seed == 3:
        raise UserError("no description")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    found = Pool([__name__])
    yield found
    found.close()


def rehearsed(pool: Pool, *seeds: int) -> None:
    jobs = [job("mine.py:Rule", seed=seed).to_dict() for seed in seeds]
    preflight._rehearse(pool, jobs, __name__)


def test_a_rule_that_ends_its_process_does_not_hide_the_mistake_of_another(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "REHEARSAL_S", 0.0)
    rehearsed(pool, 0)
    with pytest.raises(UserError, match=r"task 'digits-mlp', rule 'mine.py:Rule': no description"):
        rehearsed(pool, 1, 2, 3)
    assert len(pool.log()) < 10_000


@pytest.mark.parametrize(("hint", "shown"), [("", "--set"), ("dfa", "dfa, or --set")])
def test_a_rule_that_does_not_apply_can_be_left_out_of_its_task(
    hint: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Job) -> None:
        raise DoesNotApplyError("no", hint=hint)

    monkeypatch.setattr("grape_bench.job.run.check", refuse)
    with pytest.raises(DoesNotApplyError) as caught:
        check([job("fa", task="cora").to_dict()], "grape_bench.job.run")
    assert caught.value.hint == f"""{shown} 'cora.skip=["fa"]' to leave the rule out of this task"""
