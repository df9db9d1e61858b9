"""Which store a URI opens, and stores in files of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.track.mirror import Mirror
from grape_bench.track.mlflow import MlflowStore
from grape_bench.track.store import Sweep, store_class
from grape_bench.track.tensorboard import TensorBoardStore
from tests.track.records import on_disk, record

EXAMPLE = Path(__file__).parents[2] / "examples" / "stores" / "wandb_store.py"
OWN = """
import grape_bench as gb


class Names(gb.Store):
    def add(self, record):
        with (self.sweep.folder / "names.txt").open("a") as file:
            file.write(f"{record.task} {record.rule} {record.test}\\n")
        return True


class Broken(gb.Store):
    def add(self, record):
        raise OSError("no room")


not_a_store = dict
"""


@pytest.mark.parametrize(
    ("uri", "store"),
    [
        ("sqlite:///mlflow.db", MlflowStore),
        ("http://tensorboard.example", MlflowStore),
        ("tensorboard:logs", TensorBoardStore),
        ("tensorboard", TensorBoardStore),
    ],
)
def test_the_scheme_names_the_store(uri: str, store: type) -> None:
    assert store_class(uri) is store


def test_a_store_in_a_file_gets_every_record(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    sweep = Sweep("small", "1.0", "abc", tmp_path / "runs")
    mirror = Mirror("x", store_class(f"{tmp_path}/own.py:Names"))
    mirror.open(sweep)
    mirror.add(on_disk(sweep.folder, record()))
    mirror.close(complete=True, patience_s=10)
    assert mirror.warning == ""
    assert (sweep.folder / "names.txt").read_text() == "first dfa 91.0\n"


def test_a_store_that_fails_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    mirror = Mirror("x", store_class(f"{tmp_path}/own.py:Broken"))
    mirror.open(Sweep("small", "1.0", "abc", tmp_path))
    mirror.add(record())
    mirror.close(complete=True, patience_s=10)
    assert mirror.warning == "OSError: no room"


def test_a_class_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(UserError, match="this is not a Store"):
        store_class(f"{tmp_path}/own.py:not_a_store")


class Run:
    """A stand-in for a run of W&B."""

    def __init__(self, resumed: bool) -> None:
        self.resumed, self.rows, self.summary = resumed, [], {}  # type: ignore[var-annotated]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def log(self, row: dict[str, float], step: int) -> None:
        self.rows.append((step, row["validation_accuracy"]))


def test_the_example_logs_curves_to_wandb_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: dict[str, Run] = {}

    def init(*, id: str, resume: str, **given: Any) -> Run:
        assert resume == "allow" and given["config"]["rule"] == "dfa"
        runs[id] = Run(resumed=id in runs)
        return runs[id]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))  # type: ignore[arg-type]
    sweep = Sweep("small", "1.0", "abc", tmp_path)
    store = store_class(f"{EXAMPLE}:WandbStore")("x", sweep)
    written = on_disk(tmp_path, record())
    assert store.add(written)
    (run,) = runs.values()
    assert run.rows == [(128, 90.0), (256, 92.0)] and run.summary == {"status": "finished", "test": 91.0}
    assert not store.add(written)
