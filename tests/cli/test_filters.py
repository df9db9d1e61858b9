"""A command with fewer rules or other settings leaves every finished result in the tables."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.small_suite import command, write

RUN = ("run", "small.toml", "--tracking-uri", "none", "--slots", "1")
DEBUG = (*RUN, "--only", "bp", "--set", "task.epochs=1")


def rules(table: str) -> list[str]:
    return [row["rule"] for row in csv.DictReader(Path(table).read_text().splitlines())]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a suite ran, and then one of its rules for one debugging epoch."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("digits")
        assert command(*RUN).exit_code == 0
        shutil.copyfile("runs/small/table.csv", "before.csv")
        debug = command(*DEBUG)
        assert debug.exit_code == 0 and "1 job to run" in debug.output
    return folder


@pytest.fixture
def full(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table of the finished suite, in a copy of the folder, which is the working folder."""
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "copy"))
    monkeypatch.setenv("COLUMNS", "120")
    return Path("before.csv").read_text()


def test_a_debugging_epoch_has_a_table_of_its_own(full: str) -> None:
    assert Path("runs/small/table.csv").read_text() == full
    debug = command(*DEBUG)
    assert "above    the table of --set task.epochs=1; table.csv and `report` keep" in debug.output
    assert Path("runs/small/table.csv").read_text() == full


def test_a_command_with_one_rule_prints_and_keeps_the_others(full: str) -> None:
    only = command(*RUN, "--only", "dfa")
    assert only.exit_code == 0 and "filter   --only dfa has 1 of these 2 jobs" in only.output
    assert "not in this table: 1 with --set task.epochs=1" in only.output
    assert Path("runs/small/table.csv").read_text() == full


def test_a_report_and_a_comparison_read_the_whole_table(full: str) -> None:
    report = command("report", "runs/small", "-o", "page")
    assert report.exit_code == 0 and rules("page/table.csv") == ["bp", "dfa"]
    assert "not in this table: 1 with --set task.epochs=1" in report.output
    compared = command("compare", "runs/small#dfa", "runs/small#bp")
    assert compared.exit_code == 0 and "1 with --set task.epochs=1" in compared.output


def test_a_manifest_of_an_earlier_version_or_a_damaged_one_loses_nothing(full: str) -> None:
    manifest = Path("runs/small/manifest.json")
    content = json.loads(manifest.read_text())
    (dfa,) = (entry for entry in content["jobs"] if entry["job"]["rule"] == "dfa")
    earlier = {key: value for key, value in dfa.items() if key not in ("order", "overrides")}
    for text in (json.dumps({**content, "jobs": [earlier]}), "{"):
        manifest.write_text(text)
        assert command(*RUN).exit_code == 0
        assert Path("runs/small/table.csv").read_text() == full
        assert len(json.loads(manifest.read_text())["jobs"]) == 3
