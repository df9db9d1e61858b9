"""The first page of the leaderboard: rules by tasks, and what its filters read."""

from __future__ import annotations

from grape_bench.publish.overview import OTHER, families, lines
from grape_bench.score.results import results
from tests.score.records import make

TESTS = {"bp": 90.0, "dfa": 70.0, "dfa+anchor": 80.0, "mine.py:Mine": 40.0, "frozen": 50.0}
TRANSPORT = {"bp": True, "dfa": False, "dfa+anchor": True, "mine.py:Mine": None, "frozen": False}


def board():
    made = [
        make(rule, seed, test + seed / 10, task=task, credit={"declared_transport": TRANSPORT[rule]})
        for task in ("first", "second")
        for rule, test in TESTS.items()
        if (task, rule) != ("second", "dfa")
        for seed in range(5)
    ]
    return results(made)


def test_rules_stand_by_their_mean_credit_with_one_entry_per_task() -> None:
    found = {line.name: line for line in lines(board())}
    assert list(found) == ["bp", "dfa+anchor", "dfa", "frozen", "Mine"]
    assert [entry.text for entry in found["dfa+anchor"].entries] == ["0.75", "0.75"]
    assert [entry.text for entry in found["dfa"].entries] == ["0.50", ""], "it did not run on the second task"
    assert (found["dfa"].credit, found["Mine"].credit) == ("0.50", "-0.25")


def test_means_are_over_the_tasks_that_every_rule_has() -> None:
    """Otherwise a rule that leaves out a hard task would stand above the others."""
    made = [
        make(rule, seed, test + seed / 10, task=task)
        for task, tests in {
            "easy": {"bp": 90, "dfa": 80, "fa": 85, "frozen": 50},
            "hard": {"bp": 90, "fa": 55, "frozen": 50},
        }.items()
        for rule, test in tests.items()
        for seed in range(5)
    ]
    found = {line.name: line.credit for line in lines(results(made))}
    assert list(found.items()) == [("bp", "1.00"), ("fa", "0.88"), ("dfa", "0.75"), ("frozen", "0.00")]


def test_an_entry_shows_the_verdict_on_a_rule_that_did_not_train() -> None:
    found = {line.name: line.entries[0] for line in lines(board())}
    assert found["Mine"].verdict == "not above frozen" and found["Mine"].strength == -0.25
    assert found["bp"].verdict == found["frozen"].verdict == ""


def test_the_filters_know_the_family_and_whether_the_weights_are_read() -> None:
    found = {line.name: line for line in lines(board())}
    assert {name: line.reads_weights for name, line in found.items()} == {
        "bp": True, "dfa": False, "dfa+anchor": True, "Mine": True, "frozen": False,
    }  # fmt: skip
    assert families({"a": list(found.values())}) == ["backpropagation", "direct feedback", "control", OTHER]


def test_an_open_row_stands_below_its_rule_whatever_its_credit_is() -> None:
    opened = [
        make(f"{rule}:open", seed, test, task=task, open_by="Jane Doe")
        for rule, test in (("bp", 60.0), ("dfa", 99.0))
        for task in ("first", "second")
        for seed in range(5)
    ]
    names = [line.name for line in lines(results([*board().records, *opened]))]
    assert names == ["bp", "bp:open§", "dfa+anchor", "dfa", "dfa:open§", "frozen", "Mine"]
