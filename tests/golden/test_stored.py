"""A stored run is replaced only together with a raised integer or another default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grape_bench import network
from grape_bench.rules.names import RULES
from tests.golden import __main__ as command
from tests.golden import stored
from tests.golden.runs import CASES
from tests.golden.test_changes import scale_one_signal

SMALL = {name: CASES[name] for name in ("fa mlp", "dfa mlp")}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stored runs of two rules, in a file of their own."""
    path = tmp_path / "runs.json"
    monkeypatch.setattr(stored, "FILE", path)
    monkeypatch.setattr(command, "CASES", SMALL)
    assert command.main() == 0
    return path


def test_an_update_without_a_change_leaves_the_file_as_it_is(file: Path) -> None:
    before = file.read_bytes()
    assert command.main() == 0 and file.read_bytes() == before


def test_changed_numbers_alone_fail_and_are_not_stored(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    scale_one_signal(monkeypatch)
    case = SMALL["dfa mlp"]
    assert "raise `numerics`" in stored.problems(stored.read()["dfa mlp"], case.made_with(), case.run())[-1]
    assert command.main() == 1 and file.read_bytes() == before
    assert "dfa mlp:" in (said := capsys.readouterr().err) and "fa mlp:" not in said.replace("dfa mlp", "")


def test_changed_numbers_with_a_raised_integer_are_stored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored.read()
    scale_one_signal(monkeypatch)
    monkeypatch.setattr(network, "NUMERICS", 3)
    case = SMALL["dfa mlp"]
    assert stored.UPDATE in stored.problems(before["dfa mlp"], case.made_with(), case.run())[-1]
    assert command.main() == 0
    after = stored.read()
    assert after["dfa mlp"]["made_with"]["numerics"]["cuts"] == 3
    assert after["dfa mlp"]["moved"] != before["dfa mlp"]["moved"]
    assert after["fa mlp"] == before["fa mlp"]  # a rule without cuts does not count theirs


def test_a_changed_default_takes_the_place_of_a_raised_integer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale_one_signal(monkeypatch)
    dfa = RULES.builtin("dfa")
    assert dfa
    monkeypatch.setitem(RULES._builtin, "dfa", replace(dfa, defaults={"feedback": "dense"}))
    assert command.main() == 0
    assert stored.read()["dfa mlp"]["made_with"]["defaults"] == {"feedback": "dense"}


def test_an_integer_is_never_lowered(file: Path) -> None:
    entry: dict[str, Any] = stored.read()["dfa mlp"]
    newer = {**entry, "made_with": {"numerics": {"rule": 2, "model": 1, "cuts": 1}, "defaults": {}}}
    assert not stored.replaceable(newer, entry["made_with"], entry)
