"""The mirror: every record once, as searchable MLflow runs. A failure is only a warning."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench.record.parts import Block
from grape_bench.record.record import Record
from grape_bench.track.database import prepare
from grape_bench.track.mirror import Mirror
from grape_bench.track.mlflow import PARENT, MlflowStore, read_experiment
from grape_bench.track.store import Store, Sweep
from tests.score.records import changed
from tests.track.records import on_disk, record


def mirror(uri: str, sweep: Sweep, *records: Record) -> Mirror:
    mirror = Mirror(uri, MlflowStore)
    mirror.open(sweep)
    for one in records:
        mirror.add(one)
    mirror.close(complete=True, patience_s=60)
    return mirror


def test_a_record_becomes_one_run_below_its_cell_below_the_sweep(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

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


def test_a_job_that_is_run_again_replaces_its_run(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    crashed = on_disk(sweep.folder, record(status="crashed", reason="killed", result=None, time=None))
    mirror(uri, sweep, crashed)
    mirror(uri, sweep, replace(record(), ended="2026-01-02T00:00:00.000+00:00"))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    runs = client.search_runs([experiment.experiment_id], "tags.`grape.level` = 'job'")
    assert [(run.info.status, run.data.tags["grape.status"]) for run in runs] == [("FINISHED", "finished")]


def test_an_interrupted_copy_is_replaced(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

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


def followed(uri: str, sweep: Sweep, *items: Record | dict[str, float]) -> list[Any]:
    """The runs of a job after these items: rows while it runs, and its record."""
    from mlflow import MlflowClient

    live = Mirror(uri, MlflowStore)
    live.open(sweep)
    for item in items:
        live.add(item) if isinstance(item, Record) else live.follow(record().job, item)
    live.close(complete=False, patience_s=60)
    assert live.warning == ""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    runs = client.search_runs([experiment.experiment_id], "tags.`grape.job_id` != ''") if experiment else []
    return [(run, client.get_metric_history(run.info.run_id, "validation_accuracy")) for run in runs]


def test_a_long_job_shows_its_curve_while_it_runs(uri: str, tmp_path: Path) -> None:
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    rows = [
        {"epoch": n, "epochs": 9, "samples": 128 * n, "seconds": 6.0 * n, "validation_accuracy": 50.0 + n}
        for n in (1, 2, 2, 3)
    ]
    ((run, history),) = followed(uri, sweep, *rows)
    assert [(point.step, point.value) for point in history] == [
        (256, 52.0),
        (384, 53.0),
    ], "after ten seconds"
    assert run.data.tags["grape.level"] == "live" and run.info.status == "KILLED", "the sweep ended before the job"
    ((run, history),) = followed(uri, sweep, *rows, on_disk(sweep.folder, record()))
    assert run.data.tags["grape.level"] == "job" and run.info.status == "FINISHED", "the record replaces it"
    assert [point.step for point in history] == [128, 256]


def test_a_store_that_fails_is_one_line_of_warning(tmp_path: Path) -> None:
    sweep = Sweep("small", "1.0", "abc", tmp_path)
    failed = mirror("http://127.0.0.1:9", sweep, record())
    assert failed.warning
    assert "\n" not in failed.warning


def test_a_store_that_hangs_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("grape_bench.track.mirror.OPENING_S", 0.1)
    never = threading.Event()
    mirror = Mirror("none", lambda uri, sweep: never.wait(60))  # type: ignore[arg-type, return-value]
    mirror.open(Sweep("small", "1.0", "abc", tmp_path))
    mirror.close(complete=True, patience_s=0.1)
    assert "no answer" in mirror.warning
    never.set()


def test_a_new_database_may_take_longer_than_the_patience_of_the_end(tmp_path: Path) -> None:
    import time

    class Slow(Store):
        note = "it was made"

        def __init__(self, uri: str, sweep: Sweep) -> None:
            time.sleep(0.5)

    mirror = Mirror("none", Slow)
    mirror.open(Sweep("small", "1.0", "abc", tmp_path))
    mirror.close(complete=True, patience_s=0.1)
    assert (mirror.warning, mirror.note) == ("", "it was made")


def with_blocks(folder: Path, names: list[str], cosine: str) -> Record:
    """A record on disk whose network has these blocks, each with this value in diagnostics.csv."""
    plain = record()
    assert plain.network
    blocks = tuple(Block(name=name, shape=(4,)) for name in names)
    written = on_disk(folder, replace(plain, network=replace(plain.network, blocks=blocks)))
    lines = [f"2,128,{json.dumps(name, ensure_ascii=False)},{cosine}," for name in names]
    table = "\n".join(["step,samples,block,signal_cos,descent", *lines, "2,128,(hidden),,", "2,128,(network),,", ""])
    (folder / written.name / "diagnostics.csv").write_text(table)
    return written


def test_a_job_with_a_damaged_file_does_not_keep_the_others_out(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    first, second = on_disk(sweep.folder, record()), on_disk(sweep.folder, changed(record(), seed=1))
    (sweep.folder / first.name / "curve.csv").write_text("")
    assert "this file is damaged: it is empty" in mirror(uri, sweep, first, second).warning
    client = MlflowClient(uri)
    number = client.get_experiment_by_name("grape_bench/small@1.0").experiment_id
    runs = client.search_runs([number], "tags.`grape.level` = 'job' and attributes.status = 'FINISHED'")
    assert [run.data.tags["grape.seed"] for run in runs] == ["1"]


def test_names_that_mlflow_refuses_are_made_to_fit(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    names = ["conv[1]", "conv_1_", "a, b", "a/../b", "x" * 300, "x" * 301, "étage"]
    written = with_blocks(sweep.folder, names, "0.5")
    assert mirror(uri, sweep, written).warning == ""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`grape.level` = 'job'")
    blocks = {name.removeprefix("diagnostics.signal_cos.") for name in run.data.metrics if "signal_cos" in name}
    assert len(blocks) == len(names) and {"conv_1_", "étage"} <= blocks
    true = {
        key.removeprefix("grape.name."): name for key, name in run.data.tags.items() if key.startswith("grape.name.")
    }
    assert {true.get(block, block) for block in blocks} == set(names)


def test_many_numbers_that_are_not_finite_fit_one_tag(uri: str, tmp_path: Path) -> None:
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    written = with_blocks(sweep.folder, [f"{'block' * 20}.{index}" for index in range(200)], "inf")
    assert mirror(uri, sweep, written).warning == ""


def test_of_two_runs_of_a_job_the_one_of_its_record_stays(uri: str, tmp_path: Path) -> None:
    """As after a kill between the copy of a record and the deletion of the run of an earlier attempt."""
    from mlflow import MlflowClient

    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    crashed = record(status="crashed", reason="killed", result=None, time=None)
    finished = replace(record(), ended="2026-01-02T00:00:00.000+00:00")
    mirror(uri, sweep, crashed)
    store = MlflowStore(uri, sweep)
    store._jobs.clear()
    store.add(finished)
    assert mirror(uri, sweep, finished).warning == ""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("grape_bench/small@1.0")
    runs = client.search_runs([experiment.experiment_id], "tags.`grape.level` = 'job'")
    assert [run.data.tags["grape.status"] for run in runs] == ["finished"]


def test_a_deleted_experiment_says_how_to_restore_it(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    mirror(uri, sweep, record())
    client = MlflowClient(uri)
    number = client.get_experiment_by_name("grape_bench/small@1.0").experiment_id
    client.delete_experiment(number)
    warning = mirror(uri, sweep, record()).warning
    assert "the experiment grape_bench/small@1.0 was deleted in MLflow; try `mlflow experiments restore" in warning
    assert f"--experiment-id {number}" in warning
    client.restore_experiment(number)
    assert mirror(uri, sweep, record()).warning == ""


def test_a_damaged_database_is_filled_again_from_the_records(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (tmp_path / "mlflow.db").touch()
    done = mirror(uri, Sweep("small", "1.0", "abc", tmp_path / "runs"), record())
    assert done.warning == "" and "is now mlflow.db.damaged" in done.note
    assert MlflowClient(uri).get_experiment_by_name("grape_bench/small@1.0")


def test_a_database_that_mlflow_cannot_open_is_replaced_only_without_runs(uri: str, tmp_path: Path) -> None:
    """A migration that was interrupted has left a table that MLflow tries to create again."""
    sweep, path = Sweep("small", "1.0", "abc", tmp_path / "runs"), tmp_path / "mlflow.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE webhooks")
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()
    done = mirror(uri, sweep, record())
    assert done.warning == "" and "it was not created completely" in done.note


def test_a_database_of_another_version_of_mlflow_is_left_alone(uri: str, tmp_path: Path) -> None:
    sweep, path = Sweep("small", "1.0", "abc", tmp_path / "runs"), tmp_path / "mlflow.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()
    done = mirror(uri, sweep, record())
    assert "another version of MLflow wrote this database; try copy the file, then `mlflow db upgrade" in done.warning
    assert not list(tmp_path.glob("*.damaged"))


def test_a_summary_hangs_on_the_run_of_the_sweep(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    def summarize(runs: Path, target: Path) -> None:
        (target / "table.csv").write_text(f"{runs.name}\n")

    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    for complete in (False, True):
        mirror = Mirror(uri, MlflowStore, summarize)
        mirror.open(sweep)
        mirror.add(record())
        mirror.close(complete=complete, patience_s=60)
        assert mirror.warning == ""
        client = MlflowClient(uri)
        number = client.get_experiment_by_name("grape_bench/small@1.0").experiment_id
        (root,) = client.search_runs([number], "tags.`grape.level` = 'sweep'")
        files = [file.path for file in client.list_artifacts(root.info.run_id)]
        assert files == (["table.csv"] if complete else [])


def test_a_tag_is_no_path(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a" / "b"))
    store = MlflowStore(uri, Sweep("small", "1.0", "abc", tmp_path / "runs"))
    written = on_disk(tmp_path / "runs", record())
    store.add(written)
    store.close(complete=True)
    client = MlflowClient(uri)
    number = client.get_experiment_by_name("grape_bench/small@1.0").experiment_id
    (run,) = client.search_runs([number], "tags.`grape.level` = 'job'")
    for identity in ("../../outside", str(tmp_path / "outside"), "."):
        client.set_tag(run.info.run_id, "grape.job_id", identity)
        assert [found.id for found in read_experiment(uri, "small@1.0").records] == [written.id]
        assert not (tmp_path / "outside").exists() and not list((tmp_path / "a" / "b").iterdir())


def test_a_link_in_a_jobs_folder_is_not_uploaded(uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (tmp_path / "secret").write_text("secret")
    written = on_disk(tmp_path / "runs", record())
    (tmp_path / "runs" / written.name / "link.txt").symlink_to(tmp_path / "secret")
    MlflowStore(uri, Sweep("small", "1.0", "abc", tmp_path / "runs")).add(written)
    client = MlflowClient(uri)
    number = client.get_experiment_by_name("grape_bench/small@1.0").experiment_id
    (run,) = client.search_runs([number], "tags.`grape.level` = 'job'")
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"record.json", "curve.csv"} <= names and "link.txt" not in names
