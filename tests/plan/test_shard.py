"""Shards of a plan: together they have every job exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import make_plan
from grape_bench.plan.shard import Shard, whole
from tests.plan.suites import write_suite


def test_shards_split_the_plan(tmp_path: Path) -> None:
    jobs = make_plan(str(write_suite(tmp_path))).jobs
    parts = [Shard(index, 5).of(jobs) for index in range(1, 6)]
    assert sorted(job.id for part in parts for job in part) == sorted(job.id for job in jobs)
    assert {len(part) for part in parts} == {2, 3}


def test_a_shard_is_written_as_a_fraction_and_has_a_folder_of_its_own() -> None:
    assert Shard.parse("2/4") == Shard(2, 4)
    assert whole(Shard(2, 4).folder("quickstart")) == "quickstart"
    assert whole("quickstart") is None
    for text in ("0/4", "5/4", "2", "a/b", "1/0"):
        with pytest.raises(UserError, match="from 1 to n"):
            Shard.parse(text)
