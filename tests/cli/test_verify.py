"""`grape-bench verify --json`, for the checks of a submission in another program."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.publish.checks import NAMES
from grape_bench.publish.index import write_index
from grape_bench.publish.pack import About, pack

RECORDED = Path(__file__).parents[2] / "results" / "vision-small" / "runs"


def test_json_has_every_check_and_every_problem(tmp_path: Path) -> None:
    good, bad = (pack(RECORDED, "grape", tmp_path / name, About()) for name in ("good", "bad"))
    for curve in (bad / "runs").glob("*/curve.csv"):
        curve.write_text("".join(curve.read_text().splitlines(keepends=True)[:-1]))
    write_index(bad)
    result = CliRunner().invoke(cli, ["verify", str(good), str(bad), "--json"])
    first, second = json.loads(result.stdout)
    assert result.exit_code == 1 and (first["place"], second["place"]) == (str(good), str(bad))
    assert (first["ok"], first["badge"], len(first["digest"])) == (True, "recomputed", 64)
    assert (second["ok"], second["badge"], second["digest"]) == (False, "reported", None)
    assert [one["name"] for one in second["outcomes"]] == list(NAMES) and first["reruns"] == []
    curves = next(one for one in second["outcomes"] if one["name"] == "curves")
    assert not curves["ok"] and curves["about"] and len(curves["problems"]) > 5
    assert first["needs"] == second["needs"] != []
