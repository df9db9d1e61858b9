"""How processes start: by fork on Linux, as fresh interpreters elsewhere, with the same results."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.ask import ask
from grape_bench.execute.pool import Pool
from grape_bench.execute.start import START, method
from grape_bench.execute.sweep import Request, run_sweep
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.record.record import Record
from tests.execute.sweeps import Watch


@pytest.mark.parametrize(
    ("platform", "asked", "starts"),
    [
        ("linux", None, "fork"),
        ("linux", "", "fork"),
        ("linux", "spawn", "spawn"),
        ("darwin", None, "spawn"),
        ("darwin", "spawn", "spawn"),
        ("win32", None, "spawn"),
    ],
)
def test_only_linux_forks(platform: str, asked: str | None, starts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv(START, raising=False)
    if asked is not None:
        monkeypatch.setenv(START, asked)
    assert method() == starts


@pytest.mark.parametrize(("platform", "asked"), [("linux", "thread"), ("darwin", "fork")])
def test_another_start_is_a_mistake(platform: str, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(START, asked)
    with pytest.raises(UserError, match=f"{START}: processes cannot start by '{asked}' on {platform}"):
        Pool([])


def modules() -> list[str]:
    """The modules that a fresh process has imported."""
    return sorted(sys.modules)


def test_a_fresh_interpreter_inherits_no_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(START, "spawn")
    pool = Pool(["torch"])
    try:
        assert "torch" not in ask(pool, f"{__name__}:modules")
    finally:
        pool.close()


def swept(folder: Path) -> dict[str, Record]:
    """The records of a small quickstart, by job."""
    overrides = Overrides(only=("bp", "dfa", "grape", "frozen"), seeds=1, settings=("task.epochs=2", "probes=3"))
    plan = make_plan("quickstart", overrides)
    return {record.id: record for record in run_sweep(Request(plan, folder), Watch(), None)}


def rows(path: Path) -> list[list[str]]:
    """The rows of a table without their times; none if there is no such file."""
    if not path.exists():
        return []
    header, *lines = [line.split(",") for line in path.read_text().splitlines()]
    return [[value for name, value in zip(header, line, strict=True) if name != "seconds"] for line in lines]


PARTS = ("job", "status", "reason", "result", "credit", "diagnostics", "network", "data", "seeds", "features")


@pytest.mark.slow
@pytest.mark.cold
def test_quickstart_has_the_same_results_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(START, raising=False)
    forked = swept(tmp_path / "fork")
    monkeypatch.setenv(START, "spawn")
    spawned = swept(tmp_path / "spawn")
    assert len(forked) == 8 and forked.keys() == spawned.keys()
    for key, record in forked.items():
        one, other = record.to_dict(), spawned[key].to_dict()
        assert {part: one[part] for part in PARTS} == {part: other[part] for part in PARTS}
        for name in ("curve.csv", "diagnostics.csv"):
            assert rows(tmp_path / "fork" / record.name / name) == rows(tmp_path / "spawn" / record.name / name)
    assert {record.status for record in forked.values()} == {"finished"}
    assert sum(bool(rows(tmp_path / "fork" / record.name / "curve.csv")) for record in forked.values()) >= 6
