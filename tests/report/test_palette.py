from grape_bench.report.palette import KNOWN, styles
from tests.score.records import RULES


def test_a_baseline_looks_the_same_in_every_figure() -> None:
    assert styles(["bp", "grape"])["grape"] == styles(RULES)["grape"] == styles(["my-rule", "grape"])["grape"]
    assert set(KNOWN) == set(RULES)


def test_sixteen_more_rules_can_be_told_apart() -> None:
    every = styles([*RULES, *(f"rule-{i}" for i in range(16))])
    assert len(set(every.values())) == len(every)


def test_open_settings_have_the_color_of_their_rule_and_change_no_other_style() -> None:
    alone, beside = styles(["bp", "mine"]), styles(["bp", "bp:open", "mine", "mine:open"])
    assert list(beside) == ["bp", "bp:open", "mine", "mine:open"]
    assert {rule: beside[rule] for rule in alone} == alone
    for rule in alone:
        assert beside[f"{rule}:open"].color == alone[rule].color and beside[f"{rule}:open"] != alone[rule]
