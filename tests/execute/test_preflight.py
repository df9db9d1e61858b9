"""The check before a sweep says which task and rule a mistake belongs to."""

from __future__ import annotations

import pytest

from grape_bench.errors import UserError
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
