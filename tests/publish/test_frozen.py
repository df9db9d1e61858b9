"""The control `frozen` goes through every command, as a rule does."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.record.folder import read_records

SUITE = """\
name = "small"
version = "1.0"
rules = ["bp", "frozen", "last-1"]
seeds = 1
probes = 0
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = { hidden = [16, 16] }
dataset = "digits"
epochs = 2
batch_size = 128
optimizer = { name = "sgd", lr = 0.1 }
"""


def call(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_from_the_plan_to_a_verified_publication(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    # Whoever runs the tests may have uncommitted changes.
    clean = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False}
    monkeypatch.setattr("grape_bench.execute.sweep.git_state", lambda: clean)
    (tmp_path / "small.toml").write_text(SUITE)

    assert "3 missing" in call("plan", "small.toml", "--no-profile")
    call("run", "small.toml", "--tracking-uri", "none")
    assert "3 done, 0 missing" in call("plan", "small.toml", "--no-profile")
    by_rule = {record.rule: record for record in read_records(tmp_path / "runs" / "small")}
    frozen = by_rule["frozen"]
    assert frozen.features and frozen.result and frozen.features.test == frozen.result.test and not frozen.profile
    assert by_rule["bp"].features and by_rule["last-1"].credit and by_rule["last-1"].credit.bp_fraction == 0.5
    assert "frozen" in call("report", "runs/small")

    call("publish", "runs/small", "--rule", "frozen", "--paper", "none")
    verified = call("verify", "results/small/frozen", "--rerun", "1", "--tolerance", "0.01")
    assert "rerun  " in verified and ": verified" in verified
