import pytest

from grape_bench.score.results import results
from tests.report.runs import diagnostics
from tests.score.records import make


def test_a_map_is_the_mean_over_seeds_by_block_and_time() -> None:
    records = [make("bp", 0), make("dfa", 0), make("dfa", 1), make("fa", 0)]
    measured = {
        records[0].id: diagnostics(1.0),
        records[1].id: diagnostics(0.3),
        records[2].id: diagnostics(0.9),
    }
    (found,) = [results(records, diagnostics=measured).alignment]
    assert list(found) == [("digits-mlp", "dfa")]  # bp is 1 everywhere, fa was not measured
    cosines = found["digits-mlp", "dfa"]
    assert list(cosines.index) == ["blocks.0", "blocks.1"] and list(cosines.columns) == [1000, 2000, 3000]
    assert cosines.loc["blocks.1", 3000] == pytest.approx(0.6)


def test_other_diagnostics_make_no_map() -> None:
    records = [make("dfa", 0)]
    assert results(records, diagnostics={records[0].id: diagnostics(0.3).drop(columns="signal_cos")}).alignment == {}
