"""TensorBoard shows every job as a run: live while it trains, and whole when it has ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.track import tensorboard
from grape_bench.track.store import Sweep
from grape_bench.track.tensorboard import TensorBoardStore
from tests.track.records import on_disk, record

Scalars = dict[str, list[tuple[int, float]]]


def store(tmp_path: Path) -> TensorBoardStore:
    return TensorBoardStore(f"tensorboard:{tmp_path}/logs", Sweep("small", "1.0", "abc", tmp_path / "runs"))


def scalars(tmp_path: Path, written: Record) -> Scalars:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "logs" / "small" / written.name))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_record_becomes_a_run_over_samples(tmp_path: Path) -> None:
    written = on_disk(tmp_path / "runs", record())
    first = store(tmp_path)
    assert first.place == f"tensorboard --logdir {tmp_path}/logs"
    assert first.add(written) and not first.add(written) and not store(tmp_path).add(written)
    found = scalars(tmp_path, written)
    assert found["validation_accuracy"] == [(128, 90.0), (256, 92.0)]
    assert found["train_loss"] == [(128, 1.0)], "inf is left out"
    assert found["diagnostics.signal_cos.b.0"] == [(128, 0.5)]
    assert found["result.test"] == [(256, 91.0)]


def test_a_job_that_ran_again_replaces_its_run(tmp_path: Path) -> None:
    written = on_disk(tmp_path / "runs", record())
    assert store(tmp_path).add(written)
    assert store(tmp_path).add(replace(written, ended="2030-01-01T00:00:00.000+00:00"))
    assert scalars(tmp_path, written)["result.test"] == [(256, 91.0)]


def test_a_running_job_is_shown_and_then_replaced(tmp_path: Path) -> None:
    written = on_disk(tmp_path / "runs", record())
    live = store(tmp_path)
    live.follow(written.job, {"samples": 128, "seconds": 12.0, "validation_accuracy": 89.0})
    assert scalars(tmp_path, written)["validation_accuracy"] == [(128, 89.0)]
    assert live.add(written)
    assert scalars(tmp_path, written)["validation_accuracy"] == [(128, 90.0), (256, 92.0)]
    live.close(complete=True)


def test_without_tensorboard_one_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="TensorBoard is not installed") as error:
        store(tmp_path)
    assert error.value.hint == "pip install tensorboard"
