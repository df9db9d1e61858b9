"""Validation score against learning rate, from the recorded trials behind the settings of the runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from grape_bench.record.folder import read_records
from grape_bench.record.record import Record
from grape_bench.report.figures import tuning
from grape_bench.score.metric import METRICS
from grape_bench.score.results import results
from tests.score.records import WRITTEN, suite


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Seed 0 of the recorded quickstart, whose settings come from recorded trials."""
    return [record for record in read_records(WRITTEN) if record.seed == 0]


def test_a_point_per_trial_and_the_chosen_one_is_the_best(records: list[Record]) -> None:
    found = tuning.searches(results(records))
    assert list(found) == ["digits-mlp", "mnist1d-mlp"]
    assert "frozen" not in {search.rule for search in found["digits-mlp"]}, "it has nothing to search"
    dfa = next(search for search in found["digits-mlp"] if search.rule == "dfa")
    assert len(dfa.points) == 8 and dfa.points == sorted(dfa.points) and dfa.only_rate
    assert dfa.chosen == (0.005581, max(score for _, score in dfa.points))


def test_runs_with_other_settings_have_no_trials(records: list[Record]) -> None:
    other = [replace(r, job=replace(r.job, optimizer={**r.job.optimizer, "lr": 0.5})) for r in records]
    older = [replace(r, job=replace(r.job, version="1.9")) for r in records]
    assert [tuning.searches(results(each)) for each in (other, older, suite(2))] == [{}, {}, {}]


def test_one_trial_that_nearly_diverged_does_not_hide_the_other_perplexities(records: list[Record]) -> None:
    every = results(records)
    dfa = next(search for search in tuning.searches(every)["digits-mlp"] if search.rule == "dfa")
    first, *others = dfa.found.trials
    trials = [first.model_copy(update={"validation": 5e54}), *others]
    wild = replace(dfa, found=dfa.found.model_copy(update={"trials": trials}))
    axes = Figure().subplots()
    tuning._draw_panel(axes, every, [wild], METRICS["perplexity"])
    lowest = min(score for _, score in wild.points)
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log" and low < lowest < high < 200 * lowest


def test_it_is_drawn(records: list[Record], tmp_path: Path) -> None:
    tuning.draw(results(records), tmp_path / "tuning.svg")
    text = (tmp_path / "tuning.svg").read_text()
    assert "learning rate of a trial" in text and "digits-mlp" in text and "dfa+anchor" in text
    assert "0.001" in text and "mathdefault" not in text
