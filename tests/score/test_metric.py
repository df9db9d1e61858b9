"""Every metric: its direction, its scale, and how it is written."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from grape_bench.report import latex, markdown
from grape_bench.score.metric import METRICS, metric_of_row
from grape_bench.score.table import score
from tests.score.records import make

BETTER = {  # a better value, then a worse one
    "accuracy": (90.0, 80.0),
    "perplexity": (20.0, 30.0),
    "bits_per_character": (1.2, 1.4),
    "rmse": (2.9, 3.2),
    "r2": (0.8, 0.5),
    "psnr": (30.0, 25.0),
    "roc_auc": (90.0, 80.0),
    "average_precision": (70.0, 50.0),
    "mean_iou": (60.0, 40.0),
}


@pytest.mark.parametrize("name", METRICS)
def test_the_better_value_has_the_higher_score_and_is_called_better(name: str) -> None:
    metric, (best, worst) = METRICS[name], BETTER[name]
    assert metric.score(best) > metric.score(worst) and metric.value(metric.score(best)) == pytest.approx(best)
    assert (best > worst) is metric.higher_is_better
    part = {"name": name, "unit": metric.unit, "chance": worst}
    spread = (0.99, 1.0, 1.01)
    records = [make("bp", seed, best * factor, metric=part) for seed, factor in enumerate(spread)]
    records += [make("dfa", seed, worst * factor, metric=part) for seed, factor in enumerate(spread)]
    table = score(records)
    assert table["vs_dfa"].tolist() == ["better", ""] and table["vs_bp"].tolist() == ["", "worse"]
    assert table["metric"].tolist() == [name] * 2
    assert table["value"].tolist() == pytest.approx([best, worst], rel=1e-3)
    shown = markdown.render(table)
    assert ("lower is better" in shown) is not metric.higher_is_better
    assert f"{metric.heading} (n)" in shown and f" {best:{metric.format}} ± " in shown
    assert "?" not in latex.render(table, "t")


def test_a_value_in_a_sentence() -> None:
    said = {name: metric.text(BETTER[name][0]) for name, metric in METRICS.items()}
    assert said["accuracy"] == "90.0 %" and said["perplexity"] == "perplexity 20.00"
    assert said["psnr"] == "PSNR 30.00 dB" and said["roc_auc"] == "ROC-AUC 90.00 %" and said["rmse"] == "RMSE 2.900"


def test_a_rerun_may_differ_by_points_of_a_percentage_and_by_percent_of_other_values() -> None:
    found = {name: METRICS[name].tolerance(1.0, BETTER[name][0]) for name in ("accuracy", "perplexity", "rmse", "r2")}
    assert found == pytest.approx({"accuracy": 1.0, "perplexity": 0.2, "rmse": 0.029, "r2": 0.01})


def test_a_curve_names_its_metric() -> None:
    row = {"epoch": 1, "validation_loss": 1.0, "validation_rmse": 3.0}
    found = metric_of_row(row)
    assert found is METRICS["rmse"] and metric_of_row({"epoch": 1}) is None
    assert found.validation(pd.DataFrame([row])).tolist() == [3.0]
    assert METRICS["perplexity"].validation(pd.DataFrame([row])).tolist() == [pytest.approx(math.e)]


def test_the_error_of_an_accuracy_is_binomial_and_others_bring_their_own() -> None:
    assert METRICS["accuracy"].sampling_error(80.0, 100) == pytest.approx(4.0)
    assert METRICS["rmse"].sampling_error(3.0, 100) == 0
