"""What a table states about the settings of its rules."""

from typing import Any

from grape_bench.report.text import caption
from grape_bench.score.table import score
from tests.score.records import make

SPACE = {"lr": {"log": [1e-4, 1e-1]}}


def tuned(rule: str, lr: float = 3e-3, space: dict[str, Any] | None = SPACE, **settings: Any) -> Any:
    optimizer = {"name": "adamw", "lr": lr}
    return make(rule, trials=8, optimizer=optimizer, rule_settings=settings, space=space)


def said(*records: Any) -> list[str]:
    found: list[str] = score(records).attrs["stated"]
    return found


def test_one_space_for_every_rule() -> None:
    assert said(tuned("bp"), tuned("dfa")) == ["Searched on the same data (validation split): lr 0.0001 to 0.1 (log)."]


def test_a_wider_search_of_one_rule_is_named() -> None:
    wide = {**SPACE, "refresh": {"choice": [1, 8]}}
    (line,) = said(tuned("bp"), tuned("grape", space=wide, refresh=8))
    assert line.endswith("lr 0.0001 to 0.1 (log); refresh one of 1, 8 (grape).")


def test_a_setting_at_the_edge_is_named_with_its_task_and_rule() -> None:
    lines = said(tuned("bp"), tuned("dfa", lr=0.09))
    assert lines[1] == "At the edge of the range, so a better value may lie beyond it: digits-mlp dfa lr 0.09."


def test_settings_that_were_chosen_by_hand_are_named() -> None:
    lines = said(tuned("bp"), tuned("grape", perturbations=4), tuned("grape+anchor", perturbations=4))
    assert lines[-1] == "Set by hand in the suite, not searched: perturbations = 4 (grape, grape+anchor)."


def test_records_from_before_the_space_was_recorded() -> None:
    (line,) = said(tuned("bp", space=None), tuned("dfa", space=None))
    assert line == "Searched on the same data (validation split): the range is not recorded."


def test_the_caption_has_all_of_it_and_an_untuned_table_none() -> None:
    assert "lr 0.0001 to 0.1 (log)" in caption(score([tuned("bp")]))
    assert "Searched" not in caption(score([make("bp"), make("dfa")]))
