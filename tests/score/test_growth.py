"""Scoring asks each record once, however many references a cell is compared with."""

from __future__ import annotations

from collections import Counter

import pytest

from grape_bench.record.record import Record
from grape_bench.score.table import score
from tests.score.records import suite


@pytest.mark.parametrize("seeds", [2, 8])
def test_a_test_value_is_asked_for_a_few_times_only(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    original = Record.test.fget
    assert original

    def counted(record: Record) -> float:
        asked[record.id] += 1
        return original(record)

    monkeypatch.setattr(Record, "test", property(counted))
    records = suite(seeds, ("a", "b"))
    score(records)
    assert asked.keys() == {record.id for record in records}
    assert max(asked.values()) <= 2
