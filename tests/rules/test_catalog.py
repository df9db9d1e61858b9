"""The catalog has every shipped rule, and every setting that it lists for tuning can be tuned."""

from __future__ import annotations

import pytest

import grape_bench as gb
from grape_bench.plan.suite import Axis
from grape_bench.record.job import OPTIMIZER_SETTINGS
from grape_bench.rules.catalog import CATALOG, UNCHECKED, checked, entry_of
from grape_bench.rules.names import RULES


def test_every_shipped_rule_has_an_entry() -> None:
    assert set(CATALOG) == set(RULES.shipped)


@pytest.mark.parametrize("rule", [name for name, entry in CATALOG.items() if entry.space])
def test_a_rule_accepts_the_ends_of_its_search_space(rule: str) -> None:
    for end in (0.0, 0.999):
        point = {name: Axis.model_validate(dict(axis)).at(end) for name, axis in CATALOG[rule].space.items()}
        assert not set(point) & set(OPTIMIZER_SETTINGS)
        gb.make_rule(rule, **point)


def test_variants_and_anchors_have_the_entry_of_their_rule() -> None:
    assert entry_of("grape:p4+anchor") is CATALOG["grape"]
    assert entry_of("my.py:Mine") is None and checked("my.py:grape") == UNCHECKED
