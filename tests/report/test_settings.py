"""The best trial, and what fewer trials would have found."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.overrides import Overrides
from grape_bench.plan.read import read_suite
from grape_bench.plan.tuning import trial_jobs
from grape_bench.record.record import Record
from grape_bench.report.settings import best, chosen, complete, expected_best
from grape_bench.score.metric import METRICS
from grape_bench.score.table import score
from tests.plan.suites import write_suite
from tests.score.records import failed, make, with_parts


def trial(number: int, accuracy: float, loss: float | None = 0.5) -> Record:
    record = make("dfa", 1_000_000 + number, trial=number)
    return with_parts(record, result={"validation": accuracy, "validation_loss": loss, "test": None})


def test_the_highest_accuracy_then_the_lowest_loss_then_the_first() -> None:
    assert best([trial(0, 90.0), trial(1, 95.0), trial(2, 93.0)]).job.trial == 1
    assert best([trial(0, 90.0, 0.4), trial(1, 90.0, 0.3), trial(2, 90.0, 0.3)]).job.trial == 1
    assert best([trial(0, 90.0, None), trial(1, 90.0, 9.0)]).job.trial == 1


def test_a_diverged_trial_has_the_accuracy_of_chance() -> None:
    diverged = with_parts(trial(0, 99.0), status="diverged", result=None)
    assert diverged.validation == 10.0
    assert best([diverged, trial(1, 11.0)]).job.trial == 1
    assert complete([diverged]) and not complete([diverged, failed("dfa", 1, "oom")])


def test_the_expected_best_is_the_mean_over_all_choices_of_k() -> None:
    scores = [71.0, 90.0, 10.0, 84.0, 84.0]
    for k, expected in enumerate(expected_best(scores, METRICS["accuracy"]), start=1):
        chosen = [max(some) for some in combinations(scores, k)]
        assert expected == pytest.approx(sum(chosen) / len(chosen))
    # By hand: of 1, 2, 4 the best of two is 2, 4 or 4.
    assert expected_best([4.0, 1.0, 2.0], METRICS["accuracy"]) == pytest.approx([7 / 3, 10 / 3, 4.0])


def test_the_lowest_perplexity_is_best() -> None:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    trials = [with_parts(trial(number, value), metric=metric) for number, value in enumerate((40.0, 10.0, 90.0))]
    assert best(trials).job.trial == 1
    curve = expected_best([40.0, 10.0, 90.0], METRICS["perplexity"])
    assert curve == pytest.approx([36000 ** (1 / 3), 4000 ** (1 / 3), 10.0])  # geometric means


def test_tuning_trials_are_not_results() -> None:
    with pytest.raises(UserError, match="trials of a search"):
        score([trial(0, 90.0)])


def test_a_rule_is_tuned_on_the_tasks_that_have_it(tmp_path: Path) -> None:
    more = "[tuning]\ntrials = 2\nspace = { lr = { log = [1e-4, 1e-1] } }\n"
    suite = read_suite(write_suite(tmp_path, more=more), Overrides(settings=('second.skip=["dfa"]',)))
    trials = [replace(trial(number, 90.0 + number), job=one) for number, one in enumerate(trial_jobs(suite, ["dfa"]))]
    assert {record.task for record in trials} == {"first"}
    assert list(chosen(suite, trials).tasks) == ["first"]
