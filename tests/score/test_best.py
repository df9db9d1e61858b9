"""The comparison with the best row, whose error rate counts that the best was chosen from the same runs."""

import numpy as np
import pytest

from grape_bench.score.best import Paired, best
from grape_bench.score.cell import cells
from grape_bench.score.inference import mean
from grape_bench.score.table import best_of, score
from tests.score.records import failed, make


def test_holm_counts_every_pair() -> None:
    # Three rules make three pairs: 0.01 * 3, 0.02 * 2, 0.5 * 1.
    p = {frozenset("ab"): 0.01, frozenset("ac"): 0.5, frozenset("bc"): 0.02}
    means = {"a": 3.0, "b": 1.0, "c": 2.0}
    found = best(means, lambda one, two: Paired(means[one] - means[two], p[frozenset((one, two))]))
    assert found is not None and found.rule == "a"
    assert found.p == pytest.approx({"a": 1.0, "b": 0.03, "c": 0.5})
    assert (found.resolved, found.unresolved) == (["b"], ["c"])
    assert found.text({"a": "A", "b": "B", "c": "C"}) == "best: A; resolved below it: B; not resolved: C"


def test_many_rules_that_are_not_resolved_are_counted() -> None:
    means = {f"rule-{i}": float(i) for i in range(15)}
    found = best(means, lambda *pair: Paired(means[pair[0]] - means[pair[1]], 0.0 if "rule-0" in pair else 0.5))
    assert found is not None
    line = "best: rule-14; resolved below it: rule-0; not resolved: the other 13"
    assert found.text({rule: rule for rule in means}) == line


def test_a_missing_seed_makes_no_rule_the_best() -> None:
    """fa has the highest mean only because it lacks BP's bad seed. On the four seeds of both, BP is above it."""
    records = [make("bp", s, x) for s, x in enumerate((90.0, 91.0, 92.0, 93.0, 60.0))]
    records += [make("fa", s, x) for s, x in enumerate((88.5, 89.4, 90.6, 91.5))]
    found = best_of("digits-mlp", cells(records))
    assert found is not None and (found.rule, found.resolved) == ("bp", ["fa"])


def test_one_rule_or_none_is_not_compared() -> None:
    assert best({}, lambda first, second: Paired(0.0, 0.0)) is None
    assert best({"a": 1.0}, lambda first, second: Paired(0.0, 0.0)) is None
    assert best_of("digits-mlp", cells([make("bp"), failed("fa", 0, "oom")])) is None


def test_a_bad_rule_makes_no_other_rule_look_good() -> None:
    """dfa's spread keeps it unresolved. The line says so, and no row changes its look when x is added."""
    records = [make("bp", s, 94.0 + 0.5 * s) for s in range(3)]
    records += [make("dfa", s, x) for s, x in enumerate((28.0, 75.0, 50.0))]
    worse = [make("x", s, 20.0 + 0.49 * s) for s in range(3)]
    before, after = score(records), score([*records, *worse])
    assert before.attrs["best"] == {"digits-mlp": "best: bp; not resolved: dfa"}
    assert after.attrs["best"] == {"digits-mlp": "best: bp; resolved below it: x; not resolved: dfa"}
    shown = ["rule", "accuracy", "vs_bp"]
    assert after[shown].head(2).equals(before[shown])


@pytest.mark.parametrize("n", [3, 5])
def test_of_equal_rules_one_is_called_lower_in_at_most_5_percent_of_tables(n: int) -> None:
    draw = np.random.default_rng(n)
    tables, named = 600, "abcdef"
    wrong = 0
    for _ in range(tables):
        runs = dict(zip(named, draw.normal(0, 1, (len(named), n)), strict=True))
        means = {name: mean(values) for name, values in runs.items()}

        found = best(means, lambda one, two, runs=runs: Paired.of(list(runs[one] - runs[two])))
        wrong += bool(found and found.resolved)
    assert wrong / tables < 0.05
