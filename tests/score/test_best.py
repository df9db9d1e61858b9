from grape_bench.score.best import of_task, standings
from grape_bench.score.cell import cells
from tests.score.records import failed, make, with_parts


def of(**values: list[float]) -> dict[str, bool]:
    records = [make(rule, seed, x) for rule, row in values.items() for seed, x in enumerate(row)]
    return {rule: standing.best for rule, standing in of_task(list(cells(records).values())).items()}


def test_bold_is_the_best_and_what_cannot_be_told_from_it() -> None:
    # fa - bp: -1, 1, 0 (unresolved); dfa - bp: -10, -10.2, -9.9 (t = -113).
    assert of(bp=[90, 91, 92], fa=[89, 92, 92], dfa=[80, 80.8, 82.1]) == {"bp": True, "fa": True, "dfa": False}


def test_nothing_is_bold_where_nothing_is_resolved() -> None:
    assert of(bp=[90, 91, 92], fa=[89, 92, 92]) == {"bp": False, "fa": False}
    assert of(bp=[90], fa=[10]) == {"bp": False, "fa": False}


def test_it_is_paired() -> None:
    # The seeds differ by 30 points, the rules by 1.0, 1.1 and 0.9 on each.
    assert of(bp=[50, 80, 95], fa=[49, 78.9, 94.1])["fa"] is False


def test_divergence_does_not_make_bold() -> None:
    good = [make("bp", s, 90.0 + s) for s in range(3)] + [make("x", s, 85.0 + s) for s in range(3)]
    good += [make("head-only", s, 50 + 1.1 * s) for s in range(3)]
    assert of_task(list(cells(good).values()))["x"].best is False  # resolved, by 5 points on every seed
    broken = [with_parts(r, status="diverged") if (r.rule, r.seed) == ("x", 2) else r for r in good]
    standing = of_task(list(cells(broken).values()))["x"]
    assert standing.p > 0.05 and standing.best is False  # not resolved any more, and not bold either


def test_a_rule_without_result_has_no_standing() -> None:
    assert set(of_task(list(cells([make("bp"), failed("fa", 0, "oom")]).values()))) == {"bp"}
    assert of_task([]) == {}


def test_holm_is_applied() -> None:
    found = standings("bp", {"a": 0.03, "b": 0.04, "c": 0.001}, set())
    assert found["a"].p == 0.06 and found["a"].best and not found["c"].best
