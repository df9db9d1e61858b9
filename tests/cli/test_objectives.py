"""A regression through the commands, and mistakes, which stop before anything is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.cli.small_suite import command, run, write


def write_task(more: str = "", dataset: str = "diabetes") -> None:
    write(dataset, more, task="diabetes")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def test_a_regression_runs_and_its_table_says_rmse_and_lower_is_better() -> None:
    write_task()
    done = run()
    assert done.exit_code == 0, done.output
    assert "RMSE (1)†" in done.output and "RMSE, lower is better" in " ".join(done.output.split())
    assert "diabetes bp seed 0: RMSE " in done.output and "accuracy" not in done.output
    rows = list(csv.DictReader(Path("runs/small/table.csv").read_text().splitlines()))
    assert [row["rule"] for row in rows] == ["bp", "dfa"]
    assert all(row["metric"] == "rmse" and row["value"] == row["rmse"] and not row["accuracy"] for row in rows)
    assert all(40 < float(row["value"]) < 200 for row in rows), "in the units of the data"
    shown = command("show", str(next(Path("runs/small").glob("diabetes.dfa.s0.*"))))
    assert "validation rmse" in shown.output and "probe" in shown.output and shown.exit_code == 0
    compared = command("compare", "runs/small#dfa", "runs/small#bp")
    assert compared.exit_code == 0 and "For the RMSE, A - B is in minus its value" in " ".join(compared.output.split())


@pytest.mark.parametrize(
    ("dataset", "more", "said"),
    [
        ("diabetes", 'objective = "regresion"', "did you mean 'regression'"),
        ("digits", 'objective = "regression"', "the targets are 10 classes, but Regression needs values"),
        ("diabetes", 'objective = "absent.py:Mine"', "no file 'absent.py'"),
    ],
)
def test_a_mistake_is_one_message_before_anything_is_written(dataset: str, more: str, said: str) -> None:
    write_task(more, dataset)
    done = run()
    assert done.exit_code == 2 and said in done.output and "Traceback" not in done.output
    assert not list(Path().rglob("record.json")) and not list(Path().rglob("curve.csv"))


def test_the_file_of_an_objective_is_part_of_the_id_and_its_path_is_not() -> None:
    from grape_bench.plan.expand import make_plan

    def identity(name: str, text: str) -> str:
        Path(name).write_text(text)
        write_task(f'objective = "{name}:Mine"')
        return make_plan("small.toml").jobs[0].id

    text = "import grape_bench as gb\nclass Mine(gb.Objective): ...\n"
    assert identity("one.py", text) == identity("two.py", text) != identity("one.py", text + "# changed\n")
    write_task()
    plain = make_plan("small.toml").jobs[0]
    assert plain.objective is None and plain.objective_source == "" and "objective" not in plain.numerics
    write_task('objective = "regression"')
    assert make_plan("small.toml").jobs[0].numerics["objective"] == 1
