"""Jobs of a sweep share the data: it is decoded once per machine, then memory-mapped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grape_bench.data import load
from grape_bench.execute.executor import Options
from grape_bench.execute.sweep import Request, run_sweep
from grape_bench.plan.expand import make_plan
from grape_bench.record.typed_json import encode
from tests.data.sources import write_folder
from tests.execute.sweeps import Watch

SUITE = """\
name = "shared"
version = "1.0"
rules = ["bp", "head-only"]
seeds = 2
[[task]]
name = "images"
model = "mlp"
model_args = {{ hidden = [4] }}
dataset = "{name}"
epochs = 1
batch_size = 8
optimizer = {{ name = "sgd", lr = 0.1 }}
"""


def test_concurrent_jobs_share_decoded_files_and_rebuild_a_damaged_one_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPE_BENCH_CACHE", str(tmp_path / "cache"))
    name = f"parquet:{write_folder(tmp_path / 'images')}"
    before = load(name, args={}, device=torch.device("cpu")).description
    kept = {path: path.stat().st_ino for path in (tmp_path / "cache/images").iterdir()}
    (train, _) = sorted((path for path in kept if path.suffix == ".npy"), key=lambda path: -path.stat().st_size)
    whole = train.read_bytes()
    train.write_bytes(whole[:-1] + bytes([whole[-1] ^ 255]))

    (tmp_path / "shared.toml").write_text(SUITE.format(name=name))
    plan = make_plan(str(tmp_path / "shared.toml"))
    records = run_sweep(Request(plan, tmp_path / "runs", options=Options(slots=2)), Watch(), None)
    assert [record.status for record in records] == ["finished"] * 4
    assert all(record.data and encode(record.data) == before for record in records)
    assert train.read_bytes() == whole, "it was rebuilt"
    assert {path for path in train.parent.iterdir() if path.stat().st_ino != kept.get(path)} == {
        train,
        train.with_suffix(".npz"),
    }, "intact files are used as they are"
