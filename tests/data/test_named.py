"""Where a named data set is looked for, and how it is downloaded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.data.named import prepare
from grape_bench.errors import UserError
from tests.data.sources import unpacked, write_folder

datasets = pytest.importorskip("datasets")

Load = Callable[..., DataSet]


def test_a_prepared_set_equals_the_one_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_on_cpu: Load
) -> None:
    # `datasets` prefers a folder of that name to the Hub. tests/cli/test_offline.py has a server.
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
    for (a, b), (c, d) in zip(*(unpacked(data.train.batches(10)) for data in (direct, prepared)), strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    with pytest.raises(UserError, match="already exists"):
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
    [("minst", "unknown data set of the Hub 'minst'; did you mean 'mnist'"), ("digits", "needs no download")],
)
def test_a_name_that_is_not_on_the_hub_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(name, tmp_path)


def test_the_error_for_a_missing_set_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, load_on_cpu: Load
) -> None:
    def no_network(*args: str | None) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    monkeypatch.delenv("GRAPE_BENCH_DATA", raising=False)
    with pytest.raises(UserError, match=r"\$GRAPE_BENCH_DATA is not set[\s\S]*ylecun/mnist[\s\S]*export"):
        load_on_cpu("mnist")
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"no folder {tmp_path}/mnist"):
        load_on_cpu("mnist")
    (tmp_path / "mnist").mkdir()
    with pytest.raises(UserError, match=f"no {tmp_path}/mnist/train.parquet"):
        load_on_cpu("mnist")
