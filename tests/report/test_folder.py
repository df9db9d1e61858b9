import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from grape_bench.cli.report import command
from grape_bench.errors import UserError
from grape_bench.report import folder
from tests.report.curves import curve
from tests.score.records import RULES, suite


def on_disk(runs: Path, records: list[dict[str, Any]]) -> None:
    for record in records:
        job = runs / record["name"]
        job.mkdir(parents=True)
        (job / "record.json").write_text(json.dumps(record))
        curve(record["result"]["test"]).to_csv(job / "curve.csv", index=False)


def test_a_folder_of_runs_becomes_table_and_picture(tmp_path: Path) -> None:
    on_disk(tmp_path / "runs", suite(3, ("digits-mlp",)))
    result = CliRunner().invoke(command, [str(tmp_path / "runs"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "digits-mlp" in result.output and "head-only" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "results.svg",
        "table.csv",
        "table.md",
    ]
    assert set(pd.read_csv(tmp_path / "out" / "table.csv")["rule"]) == set(RULES)


def test_a_curve_is_optional(tmp_path: Path) -> None:
    records = suite(1, ("digits-mlp",))
    on_disk(tmp_path, records)
    (tmp_path / records[0]["name"] / "curve.csv").unlink()
    assert len(folder.read_curves(tmp_path, records)) == len(records) - 1


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_records_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no records"):
        folder.write(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
