import math

import pytest

from grape_bench.execute.plausible import check_outcome, check_row
from grape_bench.objectives.names import METRIC_RANGES, METRIC_UNITS
from grape_bench.record.parts import Metric, Result
from grape_bench.record.record import Outcome
from grape_bench.record.status import Status
from grape_bench.record.typed_json import ShapeError

ROW = {"epoch": 1, "samples": 128, "seconds": 0.5, "train_loss": 2.3, "validation_accuracy": 50.0}


def outcome(metric: str, value: float) -> Outcome:
    result = Result(test=value, validation=value, train_loss=1.0)
    return Outcome(status=Status.FINISHED, metric=Metric(name=metric, unit="", chance=10.0), result=result)


def test_every_metric_has_a_range() -> None:
    assert METRIC_RANGES.keys() == METRIC_UNITS.keys()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"validation_accuracy": 278551532.0}, r"validation_accuracy is 2.78552e\+08, and accuracy is 0 to 100"),
        ({"validation_accuracy": -1}, "validation_accuracy is -1, and accuracy is 0 to 100"),
        ({"seconds": -3.0}, "seconds is -3, so something has changed the clock"),
        ({"train_loss": "low"}, "train_loss is str, not a number"),
    ],
)
def test_a_row_that_no_training_can_have(changed: dict[str, float], message: str) -> None:
    check_row(ROW)
    with pytest.raises(ShapeError, match=message):
        check_row({**ROW, **changed})


@pytest.mark.parametrize(
    ("metric", "value", "allowed"),
    [
        ("accuracy", 101, "0 to 100"),
        ("perplexity", 0.5, "1 or more"),
        ("r2", 1.5, "1 or less"),
        ("rmse", -1, "0 or more"),
    ],
)
def test_a_score_outside_the_range_of_its_metric(metric: str, value: float, allowed: str) -> None:
    with pytest.raises(ShapeError, match=f"result.test is {value:g}, and {metric} is {allowed}"):
        check_outcome(outcome(metric, value))


@pytest.mark.parametrize(("metric", "value"), [("accuracy", 100), ("r2", -1e9), ("psnr", -5), ("perplexity", math.inf)])
def test_a_score_within_the_range(metric: str, value: float) -> None:
    check_outcome(outcome(metric, value))
