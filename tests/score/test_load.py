"""`gb.load`: a recorded table, or a folder of runs, as a DataFrame."""

from __future__ import annotations

from pathlib import Path

import pytest

import grape_bench as gb
from grape_bench.errors import UserError

EXPERIMENT = "mlflow:quickstart@2.0"
ROOT = Path(__file__).parents[2]


def test_a_recorded_table_by_its_name_and_by_its_folder() -> None:
    table = gb.load("quickstart")
    assert set(table["rule"]) >= {"bp", "dfa", "grape"} and set(table["n"]) == {5}
    assert table.equals(gb.load(ROOT / "results" / "quickstart" / "runs"))


def test_a_misspelled_name_suggests_the_right_one() -> None:
    with pytest.raises(UserError, match=r"did you mean 'quickstart'"):
        gb.load("quikstart")


def test_an_experiment_is_looked_for_where_commands_copy_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"^mlflow.db: no MLflow store at this path"):
        gb.load(EXPERIMENT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    with pytest.raises(UserError, match=r"^other.db: no MLflow store at this path"):
        gb.load(EXPERIMENT)
    with pytest.raises(UserError, match=r"^third.db: no MLflow store at this path"):
        gb.load(EXPERIMENT, "sqlite:///third.db")


@pytest.mark.parametrize("uri", ["none", "tensorboard:logs"])
def test_an_experiment_needs_an_mlflow_store(uri: str) -> None:
    with pytest.raises(UserError) as raised:
        gb.load(EXPERIMENT, uri)
    assert raised.value.parts == {
        "what": f"an experiment is read from an MLflow store, and the tracking URI is {uri}",
        "where": EXPERIMENT,
        "allowed": "sqlite:///mlflow.db, or the address of a tracking server",
        "hint": '--tracking-uri sqlite:///mlflow.db, or in Python tracking_uri="sqlite:///mlflow.db"',
    }
