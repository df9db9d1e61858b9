import math

from grape_bench.score.cell import cells
from grape_bench.score.ranking import better, ranks
from tests.score.records import failed, make


def test_ranks_by_hand() -> None:
    values = {"a": {"bp": 90, "fa": 80, "dfa": 80}, "b": {"bp": 70, "fa": 75, "dfa": 60}}
    records = [make(rule, 0, x, task=task) for task, row in values.items() for rule, x in row.items()]
    found = ranks(cells([*records, failed("grape", 0, "oom", task="a")]))
    assert found.loc["bp"].to_dict() == {"a": 1, "b": 2}
    assert found.loc["fa"].to_dict() == {"a": 2.5, "b": 1}
    assert found.loc["grape"].isna().all()


def test_p_better_by_hand() -> None:
    # Task a: fa wins 1 of 2 seeds and ties 1 (0.75); task b: loses its only common seed. Mean 0.375.
    records = [make("fa", s, x, task="a") for s, x in enumerate((80, 70))]
    records += [make("dfa", s, x, task="a") for s, x in enumerate((79, 70, 99))]
    records += [make("fa", 0, 50, task="b"), make("dfa", 0, 60, task="b")]
    found = better(cells(records))
    assert found.loc["fa", "dfa"] == 0.375 and found.loc["dfa", "fa"] == 0.625
    assert math.isnan(found.loc["fa", "fa"])


def test_a_diverged_run_loses() -> None:
    records = [make("fa", 0, 95.0, status="diverged"), make("dfa", 0, 20.0)]
    assert better(cells(records)).loc["fa", "dfa"] == 0


def test_rules_that_share_no_seed_cannot_be_compared() -> None:
    assert math.isnan(better(cells([make("fa", 0), make("dfa", 1)])).loc["fa", "dfa"])
