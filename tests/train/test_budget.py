"""A budget by hand: 10 batches per epoch."""

from __future__ import annotations

from grape_bench.train.budget import Budget


def moments(budget: Budget) -> list[int]:
    return [step for step in range(1, budget.steps + 1) if budget.evaluates_after(step)]


def test_whole_epochs_are_evaluated_at_their_ends() -> None:
    budget = Budget(steps=20, batches=10)
    assert budget.epochs == 2 and budget.steps_per_epoch == 10 and moments(budget) == [10, 20]
    assert [budget.batches_of_epoch(epoch) for epoch in (0, 1)] == [10, 10]


def test_the_last_epoch_of_a_budget_in_steps_is_shorter_and_is_evaluated_at_its_end() -> None:
    budget = Budget(steps=13, batches=10)
    assert budget.epochs == 1.3 and moments(budget) == [10, 13]
    assert [budget.batches_of_epoch(epoch) for epoch in (0, 1)] == [10, 3]


def test_the_last_step_of_an_epoch_accumulates_the_batches_that_are_left() -> None:
    budget = Budget(steps=7, batches=10, accumulate=4)
    assert budget.steps_per_epoch == 3 and [budget.batches_in(steps) for steps in range(5)] == [0, 4, 8, 10, 14]
    assert budget.batches_of_epoch(2) == 4 and budget.epochs == 2.4


def test_evaluations_count_steps_across_epochs() -> None:
    assert moments(Budget(steps=13, batches=10, evaluate_every=4)) == [4, 8, 12, 13]
    assert moments(Budget(steps=13, batches=10, evaluate_every=50)) == [13]
