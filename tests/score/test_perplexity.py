"""Perplexity, scored on the log scale."""

import math
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from grape_bench.record.record import Record
from grape_bench.report import comparison, markdown, page
from grape_bench.score.cell import cells
from grape_bench.score.compare import compare_rules
from grape_bench.score.metric import PERPLEXITY
from grape_bench.score.references import References
from grape_bench.score.results import results
from grape_bench.score.table import score
from grape_bench.score.verdict import judge
from tests.score.records import make


def cell(rule: str, *values: float, **changes: Any) -> list[Record]:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    return [make(rule, seed, value, metric=metric, **changes) for seed, value in enumerate(values)]


def test_worked_example() -> None:
    # Chance 100, frozen 50, BP 25, the rule 37.5.
    table = score([*cell("bp", 25, 25), *cell("frozen", 50, 50), *cell("x", 37.5, 37.5)]).set_index("rule")
    assert table.loc["x", "credit"] == pytest.approx(math.log(50 / 37.5) / math.log(2))
    assert table.loc["x", "norm_acc"] == pytest.approx(math.log(100 / 37.5) / math.log(4))


def test_a_cell_is_the_exponential_of_the_mean_loss() -> None:
    # exp((ln 20 + ln 40) / 2) = sqrt(800); the interval's upper side is the longer one.
    (row,) = score(cell("bp", 20, 40)).to_dict("records")
    half = 12.7062 * math.log(2) / 2  # t(0.975, 1) * s / sqrt(2) with s = ln 2 / sqrt(2)
    assert row["perplexity"] == pytest.approx(math.sqrt(800))
    assert row["perplexity_ci"] == pytest.approx(math.sqrt(800) * (math.exp(half) - 1), rel=1e-4)
    assert math.isnan(row["accuracy"])


def test_one_seed_has_no_interval_but_keeps_its_column() -> None:
    (row,) = score(cell("bp", 20)).to_dict("records")
    assert row["perplexity"] == pytest.approx(20) and math.isnan(row["perplexity_ci"]) and "rmse_ci" not in row


def test_lower_is_better_and_divergence_is_chance() -> None:
    records = [*cell("bp", 20, 21, 22), *cell("x", 30, 31, 33), *cell("y", 29, 30, 20, status="diverged")]
    table = score(records).set_index("rule")
    assert table.loc["x", "vs_bp"] == "worse" and table.loc["y", "vs_bp"] == "worse"
    assert table.loc["y", "perplexity"] == pytest.approx(100) and table.loc["y", "norm_acc"] == 0


def test_the_table_says_the_metric_and_the_direction() -> None:
    # Logs of BP's 20, 21, 22: mean ln 20.98, s = 0.0477, so ± 4.303 * 0.0477 / sqrt(3) = 0.1184. The longer side is
    # 20.98 * (exp(0.1184) - 1) = 2.64.
    records = [*cell("bp", 20, 21, 22), *cell("dfa", 41, 42, 40), *cell("head-only", 60, 61, 62)]
    table = score(records)
    by_rule = table.set_index("rule")
    assert by_rule["metric"].tolist() == ["perplexity"] * 3
    assert by_rule["value"].equals(by_rule["perplexity"]) and by_rule["value_ci"].equals(by_rule["perplexity_ci"])
    assert by_rule.loc["bp", "value"] == pytest.approx((20 * 21 * 22) ** (1 / 3))
    assert by_rule["vs_dfa"].tolist() == ["better", "", "worse"]
    shown = markdown.render(table)
    assert "perplexity (n)" in shown and "accuracy" not in shown and "Perplexity, lower is better" in shown
    assert " 20.98 ± 2.64 (3)† " in shown and " 40.99 ± " in shown and "**" not in shown


def test_a_task_shows_only_its_own_metric() -> None:
    records = [make("bp", seed, 90 + seed) for seed in range(3)]
    records += [make("dfa", seed, 60 + seed) for seed in range(3)]
    table = score([*records, *cell("bp", 20, 21, 22, task="lm"), *cell("dfa", 41, 42, 40, task="lm")])
    images, text = markdown.render(table).split("### lm")
    assert "accuracy (n)" in images and "perplexity (n)" not in images and " 91.00" in images
    assert "perplexity (n)" in text and "accuracy (n)" not in text and " 20.98" in text
    assert table["metric"].tolist() == ["accuracy", "accuracy", "perplexity", "perplexity"]
    assert table["value"].tolist() == pytest.approx([91.0, 61.0, 20.9841, 40.9919], abs=1e-3)


def test_the_page_sorts_perplexity_from_the_lowest() -> None:
    shown = page.render(results([*cell("bp", 20, 21, 22), *cell("dfa", 41, 42, 40)]))
    assert 'class="perplexity num" data-better="lower"><button type="button" title="Test perp' in shown
    assert shown.count('data-better="lower"') == 1 and '"better": "lower"' in shown.replace('":"', '": "')


def test_two_rules_are_compared_on_the_log_scale() -> None:
    (found,) = compare_rules([*cell("x", 20, 21, 22), *cell("y", 40, 43, 44)], ["x"], ["y"])
    assert found.tasks[0].difference.mean == pytest.approx(math.log(40 * 43 * 44 / (20 * 21 * 22)) / 3)
    assert found.tasks[0].verdict == "above"
    console = Console(file=StringIO(), width=80)
    console.print(comparison.render([found]))
    said = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "For the perplexity, A - B is in minus its logarithm: above 0, A is better." in said


def test_a_verdict_uses_the_standard_error_of_the_tokens() -> None:
    # One seed: log(50 / 40) = 0.223 above head-only, with standard errors 0.13 and 0.06: 1.645 * 0.1432 = 0.236.
    def judged(error: float) -> str:
        (own,) = cell("x", 40, result={"test": 40.0, "validation": 40.0, "test_error": error})
        (other,) = cell("head-only", 50, result={"test": 50.0, "validation": 50.0, "test_error": 0.06})
        grid = cells([own, other])
        return judge(grid["digits-mlp", "x"], References.of(grid, "digits-mlp")).reasons[0]

    assert judged(0.13).startswith("+0.22 ± 0.24 to head-only")
    assert judged(0.05) == "its activations and gradients are unknown: it ran without diagnostics"


def test_a_loss_beyond_every_float_is_an_infinite_perplexity() -> None:
    assert math.isinf(PERPLEXITY.value(-1e4)) and math.isinf(PERPLEXITY.half_width(-5.0, 1e4))
