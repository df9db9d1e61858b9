"""The mirror: every record once, as searchable MLflow runs. A failure is only a warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.record.record import Record
from grape_bench.track.mirror import Mirror, Sweep
from grape_bench.track.mlflow import PARENT, MlflowStore
from tests.track.records import on_disk, record


def mirror(uri: str, sweep: Sweep, *records: Record) -> Mirror:
    mirror = Mirror(uri, MlflowStore)
    mirror.open(sweep)
    for one in records:
        mirror.add(one)
    mirror.close(complete=True, patience_s=60)
    return mirror


def test_a_record_becomes_one_run_below_its_cell_below_the_sweep(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    written = on_disk(sweep.folder, record())
    assert mirror(uri, sweep, written).warning == ""
    assert mirror(uri, sweep, written, written).warning == ""  # as a second run of the suite does
    assert capfd.readouterr() == ("", ""), "MLflow's own log lines would stand between the progress lines"

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    runs = client.search_runs([experiment.experiment_id])
    by_level = {run.data.tags["grape.level"]: run for run in runs}
    assert sorted(by_level) == ["cell", "job", "sweep"]
    assert len(runs) == 3
    job, cell, root = by_level["job"], by_level["cell"], by_level["sweep"]
    assert job.data.tags[PARENT] == cell.info.run_id
    assert cell.data.tags[PARENT] == root.info.run_id
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert job.info.run_name == written.name
    assert job.data.tags["grape.job_id"] == written.id
    assert job.data.tags["hw.class"] == "cpu:testx2"
    assert job.data.params["optimizer.lr"] == "0.001"
    assert job.data.metrics["result.test"] == 91.0
    assert job.data.metrics["diagnostics.signal_cos.b.0"] == 0.5
    assert job.data.metrics["diagnostics.descent.hidden"] == 0.75
    assert [(m.step, m.value) for m in client.get_metric_history(job.info.run_id, "seconds")] == [
        (128, 0.5),
        (256, 1.0),
    ]
    assert [m.step for m in client.get_metric_history(job.info.run_id, "train_loss")] == [128]
    assert job.data.tags["grape.not_finite"] == "train_loss"
    files = {file.path for file in client.list_artifacts(job.info.run_id)}
    assert files == {"record.json", "curve.csv", "diagnostics.csv", "stderr.txt"}


def test_a_job_that_is_run_again_replaces_its_run(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    crashed = on_disk(sweep.folder, record(status="crashed", reason="killed", result=None, time=None))
    mirror(uri, sweep, crashed)
    mirror(uri, sweep, replace(record(), ended="2026-01-02T00:00:00.000+00:00"))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    runs = client.search_runs([experiment.experiment_id], "tags.`grape.level` = 'job'")
    assert [(run.info.status, run.data.tags["grape.status"]) for run in runs] == [("FINISHED", "finished")]


def test_an_interrupted_copy_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    written = on_disk(sweep.folder, record())
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", killed)
        assert "killed" in mirror(uri, sweep, written).warning
    assert mirror(uri, sweep, written).warning == ""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`grape.level` = 'job'")
    assert (run.info.status, run.data.metrics["result.test"]) == ("FINISHED", 91.0)


def killed(*_: object) -> None:
    raise OSError("killed")


def test_a_store_that_fails_is_one_line_of_warning(tmp_path: Path) -> None:
    sweep = Sweep("small", "1.0", "abc", tmp_path)
    failed = mirror("http://127.0.0.1:9", sweep, record())
    assert failed.warning
    assert "\n" not in failed.warning


def test_a_store_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    import threading

    never = threading.Event()
    mirror = Mirror("none", lambda uri, sweep: never.wait(60))  # type: ignore[arg-type, return-value]
    mirror.open(Sweep("small", "1.0", "abc", tmp_path))
    mirror.close(complete=True, patience_s=0.1)
    assert "no answer" in mirror.warning
    never.set()
