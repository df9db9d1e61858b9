"""A command with fewer rules or other settings leaves every finished result in the tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.small_suite import command, write

RUN = ("run", "small.toml", "--tracking-uri", "none", "--slots", "1")


def rules(table: str = "runs/small/table.csv") -> list[str]:
    return [row["rule"] for row in csv.DictReader(Path(table).read_text().splitlines())]


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table of a finished suite in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    write("digits")
    assert command(*RUN).exit_code == 0
    return Path("runs/small/table.csv").read_text()


def test_filters_and_overrides_hide_nothing(full: str) -> None:
    only = command(*RUN, "--only", "dfa")
    assert only.exit_code == 0 and "filter   --only dfa has 1 of these 2 jobs" in only.output
    assert Path("runs/small/table.csv").read_text() == full

    debug = command(*RUN, "--only", "bp", "--set", "task.epochs=1")
    assert debug.exit_code == 0 and "to run" in debug.output
    assert "above    the table of --set task.epochs=1; table.csv and `report` keep" in debug.output
    assert Path("runs/small/table.csv").read_text() == full

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
        assert command(*RUN, "--only", "dfa").exit_code == 0
        assert Path("runs/small/table.csv").read_text() == full
