"""Settings at the edge of a search: what is flagged, and what to search instead."""

from grape_bench.plan.edge import edges

LOG, LINEAR = {"lr": {"log": [1e-4, 1e-1]}}, {"decay": {"linear": [0.0, 0.8]}}


def flagged(space: dict, settings: dict, trials: int = 8) -> list[str]:
    return [edge.text for edge in edges(space, settings, trials)]


def test_the_outermost_part_of_a_range_holds_about_one_trial() -> None:
    # The range has three decades, and an eighth of it is a factor of 2.37.
    assert flagged(LOG, {"lr": 0.05}) == ["lr 0.05 (range 0.0001 to 0.1)"]
    assert flagged(LOG, {"lr": 0.04}) == [] and flagged(LOG, {"lr": 3e-4}) == []
    assert flagged(LOG, {"lr": 2e-4}) == ["lr 0.0002 (range 0.0001 to 0.1)"]
    assert flagged(LINEAR, {"decay": 0.75}) == ["decay 0.75 (range 0 to 0.8)"]
    assert flagged(LINEAR, {"decay": 0.5}) == []


def test_what_was_not_searched_has_no_edge() -> None:
    assert flagged(LOG, {}) == flagged({}, {"lr": 1.0}) == flagged(LOG, {"lr": 0.1}, trials=1) == []
    assert flagged({"kind": {"choice": [1, 2, 4]}}, {"kind": 4}) == []


def test_the_wider_range_as_a_suite_writes_it() -> None:
    (upper,), (lower,) = edges(LOG, {"lr": 0.09}, 8), edges(LOG, {"lr": 1e-4}, 8)
    assert (upper.wider, lower.wider) == ("lr = { log = [0.0001, 1] }", "lr = { log = [1e-05, 0.1] }")
    (linear,) = edges(LINEAR, {"decay": 0.79}, 8)
    assert linear.wider == "decay = { linear = [0, 1.2] }"
