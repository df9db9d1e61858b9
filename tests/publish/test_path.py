"""The whole path of a rule: its file, a comparison, a publication, and a verification by someone else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.publish.checks import NAMES

SUITE = """\
name = "small"
version = "1.0"
rules = ["bp", "dfa", "head-only"]
seeds = 2
[[task]]
name = "digits-mlp"
model = "nets.py:net"
dataset = "digits"
epochs = 2
batch_size = 128
optimizer = { name = "sgd", lr = 0.1 }
"""
NET = """\
from layers import hidden
from torch import nn


def net(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, classes))
"""
RULE = """\
import grape_bench as gb
from beside import scale


class Halved(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error / scale, block)
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    # Whoever runs the tests may have uncommitted changes.
    clean = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False}
    monkeypatch.setattr("grape_bench.execute.sweep.git_state", lambda: clean)
    (tmp_path / "small.toml").write_text(SUITE)
    (tmp_path / "nets.py").write_text(NET)
    (tmp_path / "layers.py").write_text("hidden = 16\n")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "beside.py").write_text("scale = 2\n")
    (tmp_path / "rules" / "mine.py").write_text(RULE)
    return tmp_path


def compare(*more: str) -> Result:
    return call(
        "compare", "rules/mine.py:Halved", "--against", "dfa", "--suite", "small.toml", "--tracking-uri", "none", *more
    )


@pytest.mark.slow
def test_from_a_rule_to_a_verified_publication(folder: Path) -> None:
    first = compare()
    assert first.exit_code == 0 and "8 jobs to run" in first.output and "A = Halved   B = dfa" in first.output
    again = compare("--fail-if-worse")
    assert "nothing to run" in again.output and again.exit_code in (0, 1)

    lacking = call("publish", "runs/small", "--rule", "Halved", "-o", "lacking")
    assert lacking.exit_code == 1 and "digits-mlp, head-only: no run" in lacking.output
    ran = call("run", "small.toml", "--rule", "rules/mine.py:Halved", "--tracking-uri", "none")
    assert ran.exit_code == 0, ran.output
    published = call("publish", "runs/small", "--rule", "Halved", "--paper", "none yet")
    assert published.exit_code == 0, published.output
    where = folder / "results" / "small" / "Halved"
    assert (where / "source.py").read_text() == RULE
    # The author's own files are not needed any more.
    for name in ("rules/mine.py", "rules/beside.py", "nets.py", "layers.py"):
        (folder / name).unlink()
    checked = call("verify", str(where))
    assert checked.exit_code == 0 and checked.output.count("ok    ") == len(NAMES) and "recomputed" in checked.output
    kept = ("--seed", "0", "--keep", "results/verifications")
    verified = call("verify", str(where), "--rerun", "1", "--tolerance", "0.5", *kept)
    assert verified.exit_code == 0, verified.output
    assert "rerun  " in verified.output and ": verified" in verified.output
    assert (
        "1 reruns would find forged scores with a probability of 1 - (1 - f)^1: 10% if 10% of the runs"
        in verified.output
    )
    baselines = Path(shutil.copytree("runs/small", "results/small/runs"))
    for path in baselines.glob("*.Halved.*"):
        shutil.rmtree(path)
    site = call("leaderboard", "results", "-o", "site")
    assert "Halved verified" in site.output, site.output
    assert "badge verified" in (folder / "site" / "small" / "index.html").read_text()

    made_up_accuracy(where)
    checked = call("verify", str(where))  # no curve has the test split: only running it again tells
    assert ": recomputed" in checked.output and "does not prove that they took place" in checked.output
    caught = call("verify", str(where), "--rerun", "2")
    assert caught.exit_code == 1 and "FAILED  rerun" in caught.output and ": reported" in caught.output
    # The kept rerun was of other content.
    assert "Halved recomputed" in call("leaderboard", "results", "-o", "site").output


def made_up_accuracy(where: Path) -> None:
    """A test accuracy 20 points higher, with a standard error, a table and an index that agree."""
    from grape_bench.publish.index import write_index
    from grape_bench.record.record import Record, read_record
    from grape_bench.report import csv
    from grape_bench.score.table import score

    records: list[Record] = []
    for path in sorted(where.glob("runs/*/record.json")):
        record = json.loads(path.read_text())
        if "Halved" in record["rule"]:
            samples = record["data"]["sizes"]["test"]
            right = round(record["result"]["test"] * samples / 100) + samples // 5
            share = right / samples
            record["result"].update(test=100 * share, test_error=100 * (share * (1 - share) / samples) ** 0.5)
            path.write_text(json.dumps(record, indent=1) + "\n")
        records.append(read_record(path))
    csv.write_scores(score(records), where)
    write_index(where)
