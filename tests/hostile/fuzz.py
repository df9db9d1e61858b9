"""Run the commands that read folders over changed ones: `python -m tests.hostile.fuzz FIRST COUNT DRAWN`.

Prints one JSON line per folder: what was changed, and what each command did. A process of its own, so that its peak of
memory is that of the commands.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.errors import printable
from tests.hostile.folders import changed, recorded

STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def commands(root: Path, place: Path) -> dict[str, list[str]]:
    """The commands by name. `place` has the change."""
    runs, out = str(root / "runs"), str(root / "out")
    folder = place if place == root / "runs" else place / "runs"
    jobs = sorted(path for path in folder.glob("*") if path.is_dir())  # the change may have moved the folder
    own = str(root / "results" / "quickstart" / "grape")
    return {
        "verify": ["verify", own],
        "show": ["show", str(jobs[int(root.name.partition("-")[2]) % len(jobs)]) if jobs else "x"],
        "compare": ["compare", f"{runs}#grape", f"{own}#dfa"],
        "leaderboard": ["leaderboard", str(root / "results"), "-o", out],
        "report": ["report", str(place), "-o", out],
    }


def outcome(arguments: list[str]) -> dict[str, Any]:
    """What one command did: its exit code, its traceback, its CPU seconds, and the peak of memory so far."""
    started = time.process_time()
    PEAK.write_text("5")  # the kernel forgets the peak so far
    done = CliRunner().invoke(cli, arguments)
    seconds = time.process_time() - started
    bug = done.exception is not None and not isinstance(done.exception, SystemExit)
    return {
        "code": done.exit_code,
        "trace": "".join(traceback.format_exception(*done.exc_info)) if bug and done.exc_info else "",
        "acts": [line for line in done.output.split("\n") if line != printable(line)],
        "seconds": round(seconds, 2),
        "mebibytes": int(STATUS.read_text().partition("VmHWM:")[2].split()[0]) // 1024,
        "says": done.output[-300:],
    }


def main(first: int, count: int, drawn: int) -> None:
    """Change a folder for each seed from `first` on, and run the commands. Pictures are slow: one folder in `drawn`."""
    os.environ["COLUMNS"] = "200"
    with tempfile.TemporaryDirectory() as there:
        clean = recorded(Path(there) / "clean")
        for seed in range(first, first + count):
            root = Path(there) / f"seed-{seed}"
            shutil.copytree(clean, root)
            place, what = changed(root, seed)
            with nullcontext() if seed % drawn == drawn - 1 else patch("grape_bench.report.folder.draw", lambda *_: {}):
                found = {name: outcome(arguments) for name, arguments in commands(root, place).items()}
            print(json.dumps({"seed": seed, "what": what, "found": found}), flush=True)
            shutil.rmtree(root)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
