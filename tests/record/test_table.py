"""The rows of a curve fit the budget of its job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench.record.record import Record, read_record
from grape_bench.record.table import check_curve, parse_table
from grape_bench.record.typed_json import ShapeError

RECORDED = Path(__file__).parents[2] / "results"


def finished(done: int, samples: int, **job: Any) -> Record:
    record = read_record(next(RECORDED.glob("quickstart/runs/*.bp.s0.*/record.json")))
    assert record.time is not None
    time = replace(record.time, steps=done, samples=samples)
    return replace(record, job=replace(record.job, **job), time=time)


def curve(*rows: tuple[float, int, int]) -> Any:
    lines = [f"{epoch},{step},{samples},{samples},1.0,90.0" for epoch, step, samples in rows]
    return parse_table("\n".join(["epoch,step,samples,seconds,train_loss,validation_accuracy", *lines, ""]))


STEPS = {"epochs": None, "steps": 13}


def test_the_metric_has_its_column() -> None:
    table = parse_table("epoch,step,samples,seconds,train_loss,validation_x\n1.3,13,130,1,1.0,90.0\n")
    with pytest.raises(ShapeError, match="the column validation_accuracy is missing"):
        check_curve(table, finished(13, 130, **STEPS))


def test_a_budget_in_steps_ends_with_its_last_step() -> None:
    check_curve(curve((1, 10, 100), (1.3, 13, 130)), finished(13, 130, **STEPS))
    with pytest.raises(ShapeError, match="it ends after step 10, but the job has 13"):
        check_curve(curve((1, 10, 100)), finished(10, 100, **STEPS))


def test_evaluations_every_few_steps_are_all_there() -> None:
    record = finished(13, 130, **STEPS, evaluate_every=5)
    check_curve(curve((0.5, 5, 50), (1, 10, 100), (1.3, 13, 130)), record)
    with pytest.raises(ShapeError, match="it has 2 rows for an evaluation every 5 steps"):
        check_curve(curve((0.5, 5, 50), (1.3, 13, 130)), record)
    with pytest.raises(ShapeError, match="the steps do not increase"):
        check_curve(curve((0.5, 5, 50), (1, 5, 100), (1.3, 13, 130)), record)


def test_whole_epochs_are_counted() -> None:
    check_curve(curve((1, 10, 100), (2, 20, 200)), finished(20, 200, epochs=2))
    with pytest.raises(ShapeError, match="it has 2 epochs, but the job has 3"):
        check_curve(curve((1, 10, 100), (2, 20, 200)), finished(20, 200, epochs=3))
