"""`run` and `plan` with a model and a data set instead of a suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.cli.one_task import suite_of
from grape_bench.plan.expand import make_plan
from grape_bench.plan.suite import Suite

NOTHING = dict.fromkeys(("suite", "objective", "epochs", "batch_size", "lr", "seeds"), None)
DIGITS = {**NOTHING, "model": "mlp", "dataset": "digits", "model_args": (), "dataset_args": (), "rules": ()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def suite(**given: object) -> Suite:
    with suite_of(DIGITS | given, "run") as reference:
        return make_plan(reference).suite


def test_the_options_become_a_suite_with_one_task() -> None:
    made = suite(
        model="timm:vit_tiny_patch16_224.augreg_in21k",
        model_args=("img_size=8", "act_layer=relu", "stem={ a = [1, 2.5], b = true }"),
        dataset_args=("limit = 500",),
        objective="classification",
        rules=("bp", "dfa+anchor", "bp"),
        seeds=4,
        epochs=7,
        batch_size=32,
        lr=3e-5,
    )
    (task,) = made.tasks
    assert made.name == task.name == "vit_tiny_patch16_224-augreg_in21k-digits"
    assert (made.rules, made.seeds) == (["bp", "dfa+anchor"], 4)
    assert task.model_args == {"img_size": 8, "act_layer": "relu", "stem": {"a": [1, 2.5], "b": True}}
    assert task.dataset_args == {"limit": 500}
    assert (task.objective, task.epochs, task.batch_size) == ("classification", 7, 32)
    assert task.optimizer.to_dict() == {"name": "adamw", "lr": 3e-5}


def test_what_is_left_out_has_a_default() -> None:
    made = suite()
    assert (made.rules, made.seeds) == (["bp", "dfa", "frozen"], 1)
    assert (made.tasks[0].epochs, made.tasks[0].batch_size, made.tasks[0].objective) == (5, 64, None)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [("csv:my data/houses/", "mlp-houses"), ("hf:glue:sst2", "mlp-sst2"), ("parquet:.", "mlp-data")],
)
def test_the_name_is_the_last_part_of_each_id(dataset: str, name: str) -> None:
    assert suite(dataset=dataset).name == name


def test_a_run_writes_the_suite_next_to_its_results_and_the_suite_runs_too(folder: Path) -> None:
    options = ["--model", "mlp", "--model-args", "hidden=[8]", "--dataset", "digits", "--epochs", "1"]
    first = call("run", *options, "--rule", "bp", "--rule", "dfa", "--tracking-uri", "none")
    assert first.exit_code == 0, first.output
    assert "suite    runs/mlp-digits/suite.toml" in first.output
    text = (folder / "runs/mlp-digits/suite.toml").read_text()
    assert text.startswith("# Written by `grape-bench run --model mlp --dataset digits`")
    again = call("run", "runs/mlp-digits/suite.toml", "--tracking-uri", "none")
    assert "all 2 jobs are already done: nothing to run" in again.output
    assert (folder / "runs/mlp-digits/suite.toml").read_text() == text


def test_a_plan_writes_nothing(folder: Path) -> None:
    result = call("plan", "--model", "mlp", "--dataset", "digits", "--seeds", "2", "--no-profile")
    assert result.exit_code == 0
    assert "6 jobs: 0 done, 6 missing" in result.output
    assert "records: runs/mlp-digits" in result.output
    assert list(folder.iterdir()) == []


MLP = ["--model", "mlp", "--dataset", "digits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neither a suite nor --model and --dataset"),
        (["--model", "mlp"], "--dataset is missing"),
        (["--epochs", "3"], "--model is missing"),
        (["quickstart", "--epochs", "3"], "--set task.epochs=VALUE to change the suite"),
        (["quickstart", *MLP], "quickstart: --model, --dataset describe a task, and a suite has its own"),
        (["--model", "mpl", "--dataset", "digits"], "the suite of these options: task 'mpl-digits': model: unknown"),
        (["--model", "mlp", "--dataset", "digit"], "unknown data set 'digit'; did you mean 'digits'"),
        ([*MLP, "--model-args", "hidden"], "--model-args hidden: not of the form KEY=VALUE"),
        ([*MLP, "--model-args", "hidden=[1"], "'[1' is not a TOML value"),
        ([*MLP, "--model-args", "hiden=[8]"], "unknown argument 'hiden'; did you mean 'hidden'"),
        ([*MLP, "--rule", "dfaa"], "unknown rule 'dfaa'"),
        ([*MLP, "--objective", "regresion"], "unknown objective 'regresion'; did you mean 'regression'"),
        ([*MLP, "--lr", "0"], "0.0 is not in the range"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(arguments: list[str], message: str, folder: Path) -> None:
    result = call("run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "/tmp" not in result.stderr
    assert list(folder.iterdir()) == []
