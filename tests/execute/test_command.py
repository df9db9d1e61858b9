"""A job's process on a cluster node."""

from __future__ import annotations

import sys
from pathlib import Path

from grape_bench.execute.command import run_command
from grape_bench.record.record import Outcome
from grape_bench.record.status import Status
from tests.execute.test_sweep import gone

HELPER = (
    "import subprocess; p = subprocess.Popen(['sleep', '600'], start_new_session={alone}); print(p.pid, flush=True)"
)


def test_a_late_command_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    for alone in (False, True):
        script = HELPER.format(alone=alone) + "; p.wait()"
        code, outcome = run_command(["sh", "-c", f'{sys.executable} -c "$0" > {pid}', script], 1.5, None)
        assert (code, outcome) == (-9, Outcome(status=Status.TIMEOUT, reason="still running after 1.5 s"))
        assert gone(int(pid.read_text()))


def test_processes_that_a_command_leaves_behind_are_killed(tmp_path: Path) -> None:
    script = HELPER.format(alone=False)
    assert run_command(["sh", "-c", f'{sys.executable} -c "$0" > {tmp_path}/pid; exit 3', script], None, None) == (
        3,
        None,
    )
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_command_that_takes_too_much_memory_is_killed() -> None:
    script = "import time; held = bytearray(200 * 2**20); time.sleep(600)"
    code, outcome = run_command([sys.executable, "-c", script], None, 100 * 2**20)
    assert code == -9 and outcome is not None
    assert outcome and outcome.status == "oom" and "more than the limit of 100 MiB" in outcome.reason
