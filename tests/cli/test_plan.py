"""`grape-bench plan` as a user reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.plan import command
from grape_bench.plan.expand import make_plan
from grape_bench.record.record import write_record
from tests.execute.test_duration import finished
from tests.score.records import with_parts

SUITE = """\
name = "planned"
version = "1.0"
rules = ["bp", "dfa"]
seeds = 3
[[task]]
name = "digits-mlp"
model = "mlp"
model_args = { hidden = [16] }
dataset = "digits"
epochs = 2
batch_size = 256
optimizer = { name = "sgd", lr = 0.1 }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "planned.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_what_is_done_missing_and_failed_with_the_time_of_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = {("bp", 0): "finished", ("bp", 1): "finished", ("dfa", 0): "diverged", ("dfa", 1): "timeout"}
    for job in make_plan("planned.toml").jobs:
        if (job.rule, job.seed) in statuses:
            status = statuses[job.rule, job.seed]
            made = with_parts(finished(job, 3, 4), status=status)
            (folder / "runs/planned" / job.name).mkdir(parents=True)
            write_record(folder / "runs/planned" / job.name, made)
    command(["planned.toml", "--slots", "2", "--no-profile"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "rule", "done", "missing", "failed", "each", "job"]
    assert lines[2].split() == ["digits-mlp", "bp", "2", "1", "4", "s", "m"]
    assert lines[3].split() == ["digits-mlp", "dfa", "0", "+1", "diverged", "1", "1", "timeout", "?"]
    assert lines[5:] == [
        "6 jobs: 3 done, 2 missing, 1 failed (to retry)",
        "time left: about 4 s on 2 slots, plus 2 jobs of unknown duration",
        "m = measured: mean of finished or recorded jobs of the same task and rule",
        "resolution: the smallest difference that these seeds detect (80 % power)",
        "  digits-mlp, 3 seeds: 3.3 standard deviations of the paired difference",
        "records: runs/planned",
    ]
    assert max(map(len, lines)) <= 80


def test_a_short_timing_fills_in_for_finished_jobs_and_writes_nothing(folder: Path) -> None:
    done = CliRunner().invoke(command, ["planned.toml", "--only", "dfa", "--slots=1"])
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines() == ["timing 1 pair of task and rule that no finished job gives a duration for ..."]
    row = next(line for line in done.stdout.splitlines() if line.startswith(" digits-mlp"))
    assert row.split()[:3] == ["digits-mlp", "dfa", "0"] and row.endswith(" p ")
    assert "3 jobs: 0 done, 3 missing" in done.stdout and "on 1 slot" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["planned.toml"]
