import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli import compare
from grape_bench.cli.main import cli
from grape_bench.execute.sweep import Request
from grape_bench.record.record import Record
from grape_bench.score.compare import Side, compare_sides
from grape_bench.track.mirror import Mirror
from grape_bench.track.mlflow import MlflowStore
from grape_bench.track.store import Sweep
from tests.cli import small_suite
from tests.report.runs import on_disk
from tests.score.records import make, suite


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *arguments])


@pytest.fixture
def runs(tmp_path: Path) -> str:
    return str(on_disk(tmp_path / "runs", suite(5)))


def test_two_rules_of_one_folder_on_one_screen(runs: str) -> None:
    result = call(f"{runs}#grape", f"{runs}#head-only")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "A = grape   B = head-only"
    assert max(map(len, lines)) <= 80 and len(lines) < 24
    assert "digits-vit" in result.output and "all tasks, in norm acc: A - B = +0." in result.output
    assert result.output.count("above") == 3


def test_a_long_name_of_a_task_stays_whole(tmp_path: Path) -> None:
    long = "cifar100-16-resnet"
    records = [make(rule, seed, test, task=long) for rule, test in (("bp", 99.0), ("dfa", 8.0)) for seed in range(5)]
    runs = on_disk(tmp_path / "runs", records)
    result = call(f"{runs}#bp", f"{runs}#dfa")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    row = next(line for line in result.output.splitlines() if line.startswith(long))
    assert "+91.00 ± 0.00" in row


def test_tasks_that_are_left_out_of_the_last_line_are_named(tmp_path: Path) -> None:
    guessing = [make("bp", seed, test, task="c") for seed, test in enumerate((9, 11.5, 11))]
    others = [make(rule, seed, 20.0, task="c") for rule in ("grape", "dfa") for seed in range(3)]
    runs = on_disk(tmp_path / "runs", [*suite(3), *guessing, *others])
    result = call(f"{runs}#grape", f"{runs}#dfa")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "(without c, where BP is not above chance)" in text and "6 pairs" in text


def test_worse_fails_only_when_asked(runs: str) -> None:
    worse = (f"{runs}#head-only", f"{runs}#bp")
    assert call(*worse).exit_code == 0
    failing = call(*worse, "--fail-if-worse")
    assert failing.exit_code == 1 and "worse: head-only than bp" in failing.stderr
    assert call(*reversed(worse), "--fail-if-worse").exit_code == 0


def test_json_has_what_the_table_shows(runs: str) -> None:
    result = call(f"{runs}#head-only", f"{runs}#bp", "--fail-if-worse", "--json")
    assert result.exit_code == 1 and "worse: head-only than bp" in result.stderr
    (found,) = json.loads(result.stdout)
    records = suite(5)
    (made,) = compare_sides(Side("", records, "head-only"), Side("", records, "bp"))
    assert (found["first"], found["second"], found["worse"]) == ("head-only", "bp", True)
    assert [one["task"] for one in found["tasks"]] == ["digits-mlp", "digits-vit"]
    row, task = found["tasks"][0], made.tasks[0]
    assert row["difference"] == task.difference._asdict() and row["difference"]["n"] == 5
    assert (row["p"], row["verdict"], row["step"]) == (task.p, "below", task.step)
    assert row["first"]["value"] == sum(task.first.values.values()) / 5 and row["first"]["seeds"] == [0, 1, 2, 3, 4]
    assert made.overall and found["overall"]["difference"]["value"] == made.overall.difference.value
    assert found["overall"]["verdict"] == "below"


def test_json_of_one_seed_has_null_where_nothing_is_known(runs: str, tmp_path: Path) -> None:
    once = str(on_disk(tmp_path / "once", suite(1)))
    result = call(f"{once}#dfa", f"{once}#fa", "--json")
    difference = json.loads(result.stdout)[0]["tasks"][0]["difference"]
    assert result.exit_code == 0 and difference["half_width"] is None and difference["n"] == 1


def test_a_recorded_table_by_name(runs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    on_disk(tmp_path / "results" / "mine" / "runs", suite(3))
    result = call(f"{runs}#fa", "mine#fa")
    assert result.exit_code == 0 and f"A = fa ({runs})" in result.output.replace("\n", "")


def test_unknown_sets_and_rules_are_user_errors(runs: str) -> None:
    missing = call("nowhere", runs)
    assert missing.exit_code == 2 and "unknown set of runs 'nowhere'" in missing.stderr
    assert "a folder of runs, mlflow:EXPERIMENT" in missing.stderr
    rule = call(f"{runs}#grap", runs)
    assert rule.exit_code == 2 and "did you mean 'grape'" in rule.stderr


def test_it_needs_all_jobs_and_so_offers_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("fa", "--against", "dfa", "--suite", "quickstart", "--shard", "1/2", "--fresh")
    assert result.exit_code == 2 and "No such option" in result.stderr and "--shard" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_jobs_that_were_not_copied_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_suite.write("digits")

    def sweep(request: Request, mirror: Mirror | None) -> list[Record]:
        assert mirror is not None
        mirror.warning = "timed out"
        return [replace(make(job.rule, job.seed), job=job, id=job.id, name=job.name) for job in request.plan.jobs]

    monkeypatch.setattr(compare, "sweep", sweep)
    result = call("fa", "--against", "dfa", "--suite", "small.toml", "--tracking-uri", "http://mlflow.example:5000")
    assert result.exit_code == 0, result.output
    assert result.stderr.endswith(
        "warning: not every job was copied to the store (timed out); to copy them later: "
        "grape-bench sync runs/small --tracking-uri http://mlflow.example:5000\n"
    )


def test_an_experiment_without_a_store_is_a_user_error(runs: str) -> None:
    result = call(runs, "mlflow:quickstart@2.0", "--tracking-uri", "none")
    assert result.exit_code == 2 and "the tracking URI is none" in result.stderr
    assert "try: --tracking-uri sqlite:///mlflow.db" in result.stderr


@pytest.mark.slow
def test_an_mlflow_experiment(tmp_path: Path, runs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    records = [make(rule, s, 80.0 + s, started=STARTED, ended=ENDED) for rule in ("dfa", "fa") for s in range(2)]
    folder = on_disk(tmp_path / "logged", records)
    store = MlflowStore(uri, Sweep("quickstart", "1.0", "f" * 32, folder))
    for record in records:
        store.add(record)
    result = call(f"{runs}#dfa", "mlflow:quickstart@1.0#dfa", "--tracking-uri", uri)
    assert result.exit_code == 0, result.output + result.stderr
    assert "digits-mlp" in result.output and " 2 " in result.output
    unknown = call(runs, "mlflow:quikstart@1.0", "--tracking-uri", uri)
    assert unknown.exit_code == 2 and "did you mean 'quickstart@1.0'" in unknown.stderr


STARTED, ENDED = "2026-01-01T00:00:00.000+00:00", "2026-01-01T00:01:00.000+00:00"
