"""`grape-bench run SUITE --open`, on a small suite."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.small_suite import command, write

ENTRY = """\
[[open]]
rule = "bp"
by = "Jane Doe"
source = "40 random trials on validation"
date = 2026-07-01

[open.task.own]
settings = { lr = 3e-2 }
"""
BP = ("small.toml", "--only", "bp")


def run(*arguments: str) -> Result:
    return command("run", *BP, "--tracking-uri", "none", "--slots", "1", *arguments)


def rows() -> dict[str, dict[str, str]]:
    return {row["rule"]: row for row in csv.DictReader(Path("runs/small/table.csv").read_text().splitlines())}


def test_from_the_file_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    write("digits")
    file = Path("baselines/small/open.toml")
    refused = run("--open")
    assert refused.exit_code == 2 and "nobody has sent open settings of this suite" in refused.stderr

    file.parent.mkdir(parents=True)
    file.write_text(ENTRY)
    refused = command("plan", *BP, "--open", "--no-profile")
    assert refused.exit_code == 2 and "bp on own: 'definition' is missing" in refused.stderr
    (line,) = re.findall(r'try: (definition = "[0-9a-f]{16}")', refused.stderr)
    assert not Path("runs").exists()
    file.write_text(f"{ENTRY}{line}\n")
    planned = json.loads(command("plan", *BP, "--open", "--no-profile", "--json").stdout)["jobs"]
    assert [job["rule"] for job in planned] == ["bp", "bp:open"]

    done = run("--open")
    assert done.exit_code == 0 and "open settings: bp by Jane Doe (baselines/small/open.toml)" in done.output
    assert re.search(r"^bp +\d.*\nbp:open§ +\d", done.output, re.MULTILINE)
    said = " ".join(done.output.split())
    assert "§ open settings by Jane Doe (bp): chosen with any number of trials, see baselines/small/open.toml." in said
    assert "best:" not in done.output, "BP is the only row that is ranked"
    assert (rows()["bp"]["trials"], rows()["bp:open"]["trials"]) == ("1", "")
    assert (rows()["bp"]["open_by"], rows()["bp:open"]["open_by"]) == ("", "Jane Doe")
    records = [json.loads(path.read_text()) for path in Path("runs/small").glob("*/record.json")]
    assert {one["job"]["rule"]: one["job"]["optimizer"]["lr"] for one in records} == {"bp": 1e-2, "bp:open": 3e-2}
    assert {one["id"] for one in records} == {job["id"] for job in planned}

    before = rows()
    again = run()
    assert "the job is already done" in again.output and rows() == before, "the table keeps the row"
    report = command("report", "runs/small", "-o", "page")
    assert report.exit_code == 0, report.output
    for name in ("README.md", "table.tex", "index.html"):
        assert "bp:open" in Path("page", name).read_text()
    refused = command("publish", "runs/small", "--rule", "bp:open")
    assert refused.exit_code == 2 and "not published as a rule" in refused.stderr
