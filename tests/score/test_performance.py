import pytest

from grape_bench.score.cell import cells
from grape_bench.score.performance import profile
from tests.score.records import failed, make


def test_a_profile_by_hand() -> None:
    # Credits of x: task a 0.5 and 1.0, task b 0.25 and 0.25.
    values = {"bp": ([90, 90], [80, 80]), "head-only": ([50, 50], [40, 40]), "x": ([70, 90], [50, 50])}
    records = [
        make(rule, seed, y, task=task)
        for rule, rows in values.items()
        for task, row in zip("ab", rows, strict=True)
        for seed, y in enumerate(row)
    ]
    found = profile(cells([*records, failed("usf", 0, "oom", task="a")]))
    assert [found["x"][at] for at in (0, 0.25, 0.255, 0.5, 0.505, 1, 1.005)] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0]
    assert found["bp"][1.0] == 1 and found["head-only"][0.0] == 1 and found["head-only"][0.005] == 0
    assert "usf" not in found


def test_without_references_there_is_no_profile() -> None:
    assert profile(cells([make("bp"), make("fa")])).empty
    assert profile(cells([make("bp", 0, 50.0), make("head-only", 0, 60.0)])).empty


def test_it_never_rises() -> None:
    from tests.score.records import suite

    found = profile(cells(suite(3)))
    assert (found.diff().dropna() <= 0).all().all() and found["bp"][0.0] == pytest.approx(1)
