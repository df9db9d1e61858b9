from pathlib import Path

import pytest

from grape_bench import network, train
from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.report import csv, markdown
from grape_bench.score.pairing import Side, compare_sides
from grape_bench.score.table import score
from tests.score.records import make, suite


def made(name: str, seed: int = 0, /, **numerics: int) -> Record:
    """A record made with these integers; one without any is from before there were integers."""
    return make(name, seed, numerics=numerics)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (make("bp"), made("fa", model=2), r"model mlp has numerics 1 \(bp\) and 2 \(fa\)"),
        (made("bp", dataset=2), make("fa"), r"data set digits has numerics 1 \(fa\) and 2 \(bp\)"),
        (make("bp"), made("fa", trainer=2), r"trainer has numerics 1 \(bp\) and 2 \(fa\)"),
        (make("dfa"), made("grape", cuts=2), r"cuts has numerics 1 \(dfa\) and 2 \(grape\)"),
        (make("dfa+anchor"), made("grape+anchor", anchors=3), r"anchors has numerics 1 \(dfa\+anchor\) and 3"),
        (make("dfa+anchor"), made("dfa", rule=2), r"rule dfa has numerics 1 \(dfa\+anchor\) and 2 \(dfa\)"),
        (make("dfa", 0), made("dfa", 1, rule=2), r"rule dfa has numerics 1 \(dfa\) and 2 \(dfa\)"),
    ],
)
def test_a_part_with_two_integers_is_refused(one: Record, other: Record, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        score([one, other])
    assert "run the suite again" in error.value.hint
    with pytest.raises(UserError, match=said):
        compare_sides(Side("here", [one]), Side("there", [other]))


def test_the_cuts_do_not_count_for_rules_without_cuts() -> None:
    score([make("bp"), make("fa"), made("dfa", cuts=2)])


def test_a_rule_of_another_integer_than_another_rule_is_fine() -> None:
    score([make("bp"), made("dfa", rule=2), make("grape")])


def test_a_table_of_older_integers_opens_and_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    records = suite()
    before = score(records)
    monkeypatch.setattr(train, "NUMERICS", 3)
    monkeypatch.setattr(network, "NUMERICS", 2)
    table = score(records)
    line = "made with different numerics than this version has: cuts 1 (now 2), trainer 1 (now 3)"
    assert table.attrs["notes"] == [line, *before.attrs["notes"]]
    assert csv.text(table) == csv.text(before) and markdown.render(table).count(line) == 1


def test_recorded_tables_are_of_this_version() -> None:
    from grape_bench.record.folder import read_records
    from grape_bench.score.numerics import outdated

    for folder in (Path(__file__).parents[2] / "results").glob("*/runs"):
        assert outdated(read_records(folder)) == ""
