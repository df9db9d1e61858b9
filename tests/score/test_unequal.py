"""The notes of a table say where runs of one task differ in something that no id contains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.record.folder import read_records
from grape_bench.record.parts import Data
from grape_bench.record.record import Record
from grape_bench.score.table import score
from grape_bench.score.unequal import unequal_notes
from tests.score.records import changed

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def records() -> list[Record]:
    """A run of bp and a run of dfa on one task."""
    found = read_records(RESULTS / "quickstart" / "runs")
    return [next(one for one in found if one.rule == rule and one.task == found[0].task) for rule in ("bp", "dfa")]


def with_threads(record: Record, threads: int) -> Record:
    hardware = replace(record.environment.hardware, threads=threads)
    return replace(record, environment=replace(record.environment, hardware=hardware))


def test_recorded_suites_have_no_notes() -> None:
    for folder in RESULTS.glob("*/runs"):
        assert unequal_notes(read_records(folder)) == []


def test_different_threads(records: list[Record]) -> None:
    bp, dfa = records
    (note,) = score([bp, with_threads(dfa, 2)]).attrs["notes"][-1:]
    assert note == f"{bp.task}: the runs had different CPU threads, which changes last digits: 1 (bp) and 2 (dfa)"
    hardware = replace(with_threads(dfa, 2).environment.hardware, kind="cuda:a GPU")
    on_gpu = replace(dfa, environment=replace(dfa.environment, hardware=hardware))
    assert unequal_notes([bp, on_gpu]) == [] == unequal_notes(records)


def test_different_data(records: list[Record]) -> None:
    bp, dfa = records
    other = replace(dfa, data=Data(name="digits", more={"fingerprint": "other"}))
    assert unequal_notes([bp, other]) == [
        f"{bp.task}: the content of the data set digits differs between runs: bp; dfa"
    ]
    assert unequal_notes([bp, replace(dfa, data=None)]) == []


def test_seeds_from_before_the_content_was_recorded_share_a_table_with_later_ones(records: list[Record]) -> None:
    bp, _ = records
    later = changed(bp, seed=bp.seed + 1, data_content="a" * 16)
    assert list(score([bp, later])["n"]) == [2]
