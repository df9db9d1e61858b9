from grape_bench.report.palette import KNOWN, styles
from tests.score.records import RULES


def test_a_baseline_looks_the_same_in_every_figure() -> None:
    assert styles(["bp", "grape"])["grape"] == styles(RULES)["grape"] == styles(["my-rule", "grape"])["grape"]
    assert set(KNOWN) == set(RULES)


def test_sixteen_more_rules_can_be_told_apart() -> None:
    every = styles([*RULES, *(f"rule-{i}" for i in range(16))])
    assert len(set(every.values())) == len(every)
