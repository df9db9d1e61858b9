from pathlib import Path

import pandas as pd
import pytest

from grape_bench.errors import UserError
from grape_bench.report import csv
from grape_bench.score.table import score
from tests.score.records import failed, suite


def test_a_table_survives_writing_and_reading(tmp_path: Path) -> None:
    table = score([*suite(3), failed("usf", 0, "oom")])
    csv.write_scores(table, tmp_path / "new")
    read = pd.read_csv(tmp_path / "new" / "table.csv", keep_default_na=False, na_values={"credit": ""})
    assert [name for name in read if name in table] == list(table)
    assert list(read["rule"]) == list(table["rule"]) and list(read["n"]) == list(table["n"])
    assert read["credit"].to_numpy() == pytest.approx(table["credit"].to_numpy(), rel=1e-5, nan_ok=True)


def test_every_table_has_the_columns_that_programs_rely_on(tmp_path: Path) -> None:
    table = score(suite(3))
    csv.write_scores(table, tmp_path)
    read = pd.read_csv(tmp_path / "table.csv")
    absent = [name for name in csv.ALWAYS if name not in table]
    assert absent and read[absent].isna().all(axis=None)
    assert {"task", "rule", "n", "accuracy", "accuracy_ci", "credit", *csv.ALWAYS} <= set(read)


def test_six_significant_digits_and_empty_missing_values(tmp_path: Path) -> None:
    table = pd.DataFrame({"rule": ["bp", "fa"], "accuracy": [97.123456789, float("nan")]})
    csv.write(table, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "rule,accuracy\nbp,97.1235\nfa,\n"


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    for _ in range(2):
        csv.write(score(suite(3)), tmp_path / "table.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_folder_that_cannot_be_created_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        csv.write(score(suite(3)), tmp_path / "file" / "table.csv")
