"""`gb.run` does in Python what `grape-bench run` does in a shell, and shares its records."""

from __future__ import annotations

from pathlib import Path

import pytest

import grape_bench as gb
from tests.cli.small_suite import command, write


def test_a_suite_runs_and_gives_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write("digits")
    table = gb.run("small.toml", only=["bp"])
    assert isinstance(table, gb.ResultTable) and list(table.frame["rule"]) == ["bp"]
    assert "1 job to run" in capsys.readouterr().out and table.folder == Path("runs/small")
    assert "nothing to run" in command("run", "small.toml", "--only", "bp", "--tracking-uri", "none").output
    with pytest.raises(gb.UserError, match="unknown key"):
        gb.run("small.toml", settings=["task.epoch=1"])
