"""A named set fetched once is the set that the hub has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.data.prepare import prepare
from grape_bench.errors import UserError
from tests.data.sources import write_folder

Load = Callable[..., DataSet]


def test_what_was_prepared_is_what_the_hub_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_on_cpu: Load
) -> None:
    # `datasets` reads a folder of that name in the place of the hub's set; a real hub is in tests/cli/test_offline.py.
    write_folder(tmp_path / "ylecun" / "mnist")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAPE_BENCH_DATA", raising=False)
    direct = load_on_cpu("mnist")
    folder, rows = prepare("mnist", tmp_path / "data")
    assert rows == {"train": 40, "test": 10}
    assert sorted(path.name for path in folder.iterdir()) == ["test.parquet", "train.parquet"]
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir("/")
    prepared = load_on_cpu("mnist")
    assert prepared.description["sizes"] == direct.description["sizes"]
    for (a, b), (c, d) in zip(direct.train.batches(10), prepared.train.batches(10), strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    with pytest.raises(UserError, match="is there already"):
        prepare("mnist", tmp_path / "data")


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "ylecun" / "mnist")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ylecun" / "mnist" / "test.parquet").write_bytes(b"no Parquet")
    with pytest.raises(UserError, match="could not load it"):
        prepare("mnist", tmp_path / "data")
    assert not list(tmp_path.glob("data/*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("minst", "unknown data set of the hub 'minst'; did you mean 'mnist'"), ("digits", "needs no")],
)
def test_names_that_the_hub_has_not(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(name, tmp_path)
