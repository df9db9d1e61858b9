"""A rerun scores what the published code trains, without letting this code see the test split or score itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.publish.hidden_test import hidden, whole
from grape_bench.publish.pack import About, pack
from grape_bench.publish.rerun import Auditor, Rerun, differences, draw
from grape_bench.publish.sandbox import missing
from grape_bench.publish.submission import Submission, read_submission
from grape_bench.record.job import Job

RECORDED = Path(__file__).parents[2] / "results" / "quickstart" / "runs"
CHEAT = """\
import os
from pathlib import Path

import grape_bench as gb
from grape_bench.job import run as training
from grape_bench.train import evaluate

found = [name for name in ("AUDITOR_TOKEN", "HOME", "GRAPE_BENCH_DATA") if "auditor" in os.environ.get(name, "")]
with open(os.environ.get("SEEN", "seen.txt"), "a") as seen:
    print(found, file=seen)
here = Path(__file__).resolve()
for victim in here.parents[2].rglob("record.json") if "results" in here.parts else ():
    victim.write_text("{}")
honest = training.result_of
right, samples = 355, 359  # a share that the test split can have, with its standard error
made_up = {"test": 100 * right / samples, "test_error": 100 * (right * (samples - right) / samples**3) ** 0.5}
training.result_of = lambda validation, loss, test: {**honest(validation, loss, test), **made_up}


class Idle(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error, block) / 100
"""


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Submission:
    return read_submission(pack(RECORDED, "dfa", tmp_path_factory.mktemp("results"), About()))


def audited(
    submission: Submission, monkeypatch: pytest.MonkeyPatch, shift: dict[str, float], *, elsewhere: bool
) -> list[Rerun]:
    """Reruns whose values are off by `shift`, by rule, on this machine or another one."""
    monkeypatch.setattr("grape_bench.publish.rerun.differences", lambda record: ["CPU"] if elsewhere else [])
    monkeypatch.setattr(Auditor, "_value", lambda self, record, *rest: (record.test + shift.get(record.rule, 0.0), ""))
    return Auditor(submission, tolerance=1.0, report=lambda line: None).rerun(draw(submission, 2, seed=0))


def test_on_the_same_machine_it_is_exact(submission: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    same = audited(submission, monkeypatch, {}, elsewhere=False)
    assert len(same) == 2 and all(one.ok and one.exact and one.tolerance == 0 for one in same)
    assert not any(one.ok for one in audited(submission, monkeypatch, {"dfa": 1e-6}, elsewhere=False))


def test_elsewhere_bp_says_how_much_it_may_differ(submission: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    found = audited(submission, monkeypatch, {"bp": 0.2, "dfa": 0.5}, elsewhere=True)
    assert [submission.records[one.name].rule for one in found].count("bp") == 2 and all(one.ok for one in found)
    assert {round(one.tolerance, 9) for one in found} == {1.0, 0.6}
    assert not all(one.ok for one in audited(submission, monkeypatch, {"bp": 0.2, "dfa": 0.7}, elsewhere=True))
    assert not all(one.ok for one in audited(submission, monkeypatch, {"bp": 0.9, "dfa": 1.1}, elsewhere=True))


def test_what_differs_is_named(submission: Submission) -> None:
    (record,) = draw(submission, 1, seed=0)
    hardware = replace(record.environment.hardware, cpu="abacus", threads=0)
    other = replace(record.environment, packages={**record.environment.packages, "torch": "0.4"}, hardware=hardware)
    found = differences(replace(record, environment=other))
    assert any(one.startswith("torch ") and "published: 0.4" in one for one in found)
    assert any("published: abacus" in one for one in found)


def job(**values: Any) -> Job:
    return replace(
        Job(
            suite="s", version="1", task="t", rule="dfa", rule_settings={}, rule_source="", seed=0, model="cnn",
            model_args={}, dataset="mnist", dataset_args={}, epochs=1, batch_size=16,
            optimizer={"name": "sgd", "lr": 0.1}, schedule="constant",
        ),
        **values,
    )  # fmt: skip


def write(path: Path, first: int, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"image": [bytes([first + row]) for row in range(rows)]}), path)


def test_the_test_split_is_not_in_the_training_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    write(data / "mnist" / "train.parquet", 0, 30)
    write(data / "mnist" / "test.parquet", 100, 20)
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(data))
    view = hidden(job(), tmp_path / "view")
    assert not view.visible and view.environment == {"GRAPE_BENCH_DATA": str(tmp_path / "view")}
    real, stand_in = (parquet.read_table(root / "mnist" / "test.parquet") for root in (data, tmp_path / "view"))
    train = parquet.read_table(tmp_path / "view" / "mnist" / "train.parquet")
    assert stand_in.num_rows == real.num_rows and stand_in.equals(train.slice(0, 20)) and not stand_in.equals(real)
    assert data / "mnist" not in view.readable and data / "mnist" / "test.parquet" not in view.readable
    assert data / "mnist" in whole(job()).readable


@pytest.mark.parametrize(("dataset", "why"), [("digits", "not a named data set"), ("cora", "one graph")])
def test_what_cannot_be_hidden_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, why: str) -> None:
    (tmp_path / "cora").mkdir()
    (tmp_path / "cora" / "graph.parquet").touch()
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path))
    assert why in hidden(job(dataset=dataset), tmp_path / "view").visible


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_without_isolation_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.publish.sandbox.missing", lambda: "bubblewrap is not installed")
    result = CliRunner().invoke(cli, ["verify", str(tmp_path), "--rerun", "1"])
    assert result.exit_code == 2 and "--unconfined" in result.output


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing() or "isolation is available")
def test_a_rule_that_scores_itself_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It replaces the result in its own process, reads the environment, and overwrites the publication."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "grape_bench.execute.sweep.git_state",
        lambda: {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
    )
    (tmp_path / "cheat.py").write_text(CHEAT)
    (tmp_path / "small.toml").write_text(
        'name = "small"\nversion = "1.0"\nrules = ["bp", "dfa", "head-only"]\nseeds = 2\nprobes = 0\n'
        '[[task]]\nname = "digits"\nmodel = "mlp"\nmodel_args = { hidden = [16] }\ndataset = "digits"\nepochs = 1\n'
        'batch_size = 128\noptimizer = { name = "sgd", lr = 0.1 }\n'
    )
    run = call("run", "small.toml", "--rule", "cheat.py:Idle", "--tracking-uri", "none")
    assert run.exit_code == 0, run.output
    assert call("publish", "runs/small", "--rule", "Idle").exit_code == 0
    where = tmp_path / "results" / "small" / "Idle"
    before = {path: path.read_bytes() for path in where.rglob("*") if path.is_file()}
    record = json.loads(next(where.glob("runs/*Idle.s0.*/record.json")).read_text())
    assert record["result"]["test"] > 98

    monkeypatch.setenv("AUDITOR_TOKEN", "the auditor's")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen-by-the-cheat.txt"))
    caught = call("verify", str(where), "--rerun", "1")
    assert caught.exit_code == 1 and "FAILED  rerun" in caught.output and ": reported" in caught.output
    assert "its code could read the test split: digits" in caught.output
    assert not (tmp_path / "seen-by-the-cheat.txt").exists()
    assert before == {path: path.read_bytes() for path in where.rglob("*") if path.is_file()}
