"""What a user sees while jobs run, and after some have failed."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from grape_bench.cli.display import Live, Plain, result_line
from grape_bench.cli.duration import in_words
from grape_bench.cli.failures import exit_code, failures
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from tests.record.test_job import JOB
from tests.score.records import with_parts
from tests.track.records import record


def ended(job: Job, seconds: int = 2, **changes: object) -> Record:
    times = {"started": "2026-01-01T00:00:00.000+00:00", "ended": f"2026-01-01T00:00:{seconds:02d}.000+00:00"}
    return with_parts(replace(record(), job=job, id=job.id, name=job.name, **times), **changes)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    second = replace(JOB, seed=1)
    plain = Plain()
    plain.began([ended(replace(JOB, seed=2))], [JOB, second], 2)
    plain.started(JOB)
    plain.ended(ended(JOB))
    plain.ended(ended(second, status="crashed", reason="ValueError: no\nmore"))
    assert capsys.readouterr().out.splitlines() == [
        "2 jobs to run (1 already done), 2 at a time",
        "[2/3] first dfa seed 0: 92.0 % validation, 2.0 s (1 s left)",
        "[3/3] first dfa seed 1: crashed: ValueError: no",
    ]


def test_the_live_display_fits_in_80_columns_and_leaves_only_what_went_wrong() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    live = Live(console)
    long = replace(JOB, task="a-task-with-quite-a-long-name", rule="experiments/my_rule.py:MyVeryOwnRule+anchor")
    live.began([], [long, JOB], 2)
    live.started(long)
    live.started(JOB)
    live.progressed({JOB.id: {"epoch": 1, "epochs": 2, "validation_accuracy": 87.654}})
    shown = Console(file=io.StringIO(), width=80, color_system=None)
    shown.print(live.render())
    lines = shown.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "0/2 jobs" in lines[0]
    assert any("first dfa seed 0" in line and "epoch 1/2" in line and "87.7 %" in line for line in lines)
    live.progressed({JOB.id: {"epoch": 2, "epochs": 2, "validation_loss": 3.0, "validation_perplexity": 20.0855}})
    shown.print(live.render())
    assert "epoch 2/2  perplexity 20.09" in shown.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    assert len(lines) == 3, "no line is wrapped"
    live.ended(ended(JOB))
    live.ended(ended(long, status="oom", reason="MemoryError"))
    live.closed()
    assert "oom: MemoryError" in out.getvalue()
    assert "92.0 % validation" not in out.getvalue()


def test_the_live_display_counts_the_steps_of_a_budget_in_steps() -> None:
    live = Live(Console(file=io.StringIO(), width=80))
    job = replace(JOB, epochs=None, steps=3000)
    live.began([], [job], 1)
    live.started(job)
    shown = Console(file=io.StringIO(), width=80, color_system=None)
    for row, said in (({}, "step 0/3000"), ({"step": 1500, "epoch": 0.5, "steps": 3000}, "step 1500/3000")):
        live.progressed({job.id: row} if row else {})
        shown.print(live.render())
        assert said in shown.file.getvalue()  # type: ignore[attr-defined]


def test_exit_codes() -> None:
    fine, diverged, crashed = record(), record(status="diverged"), record(status="crashed")
    assert exit_code([fine]) == 0
    assert exit_code([fine, diverged]) == 2
    assert exit_code([diverged, crashed]) == 1


def test_seeds_that_diverged_are_one_message_that_says_what_to_type(tmp_path: Path) -> None:
    reason = "the loss is nan in epoch 1, step 3"
    both = [ended(replace(JOB, seed=seed), status="diverged", reason=reason) for seed in (0, 1)]
    assert failures(both, tmp_path) == [
        f"diverged: first dfa, seed 0, 1: {reason}\n  try: a lower learning rate, --set first.rule.dfa.lr=0.0001"
    ]


def test_a_crash_shows_where_it_is_and_the_end_of_its_output(tmp_path: Path) -> None:
    crashed = ended(JOB, status="crashed", reason="killed by SIGSEGV")
    (tmp_path / JOB.name).mkdir()
    (tmp_path / JOB.name / "stderr.txt").write_text("".join(f"line {n}\n" for n in range(20)))
    (message,) = failures([crashed], tmp_path)
    place = tmp_path / JOB.name
    assert message.startswith(f"crashed: first dfa, seed 0: killed by SIGSEGV\n  record: {place}/record.json\n")
    assert f"  output: {place}/stderr.txt, which ends with:\n" in message
    assert "line 19" in message
    assert "line 5" not in message
    assert result_line(crashed) == "first dfa seed 0: crashed: killed by SIGSEGV"
    assert result_line(ended(replace(JOB, trial=3))) == "first dfa trial 3: 92.0 % validation, 2.0 s"


def test_seeds_with_the_same_failure_share_a_message(tmp_path: Path) -> None:
    alike = [ended(replace(JOB, seed=seed), status="oom", reason="MemoryError") for seed in (0, 1, 2)]
    other = ended(replace(JOB, seed=3), status="timeout", reason="still running after 3 s")
    first, second = failures([*alike, other], tmp_path)
    assert first.startswith("oom: first dfa, seed 0, 1, 2: MemoryError")
    assert "--set first.batch_size=N" in first
    assert second.startswith("timeout: first dfa, seed 3: still running after 3 s")
