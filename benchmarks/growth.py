"""How the cost of a command grows with the number of jobs. Nothing is trained. Writes a table to docs/harness.md.

python -m benchmarks.growth                   60 to 20,000 jobs: about fifteen minutes on 2 cores, and 1 GB of disk
python -m benchmarks.growth 60 600 --print    these sizes only; the docs stay as they are

A sweep is made of copies of recorded results with other scores. Each command runs in a process of its own, whose CPU
time and peak memory are measured. The processes that it starts count too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grape_bench.execute.executor import Options
from grape_bench.execute.sweep import Request, run_sweep
from grape_bench.execute.time_left import TimeLeft
from grape_bench.plan.expand import make_plan
from grape_bench.record.environment import git_state
from grape_bench.record.folder import read_folder
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.table import CURVE, DIAGNOSTICS
from grape_bench.score.table import score

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "results" / "quickstart" / "runs"
RULES = ("bp", "frozen", "head-only", "dfa", "fa", "dfa+anchor", "grape", "grape+anchor")
SHAPES = {60: (1, 12, 5), 600: (3, 40, 5), 6_000: (15, 40, 10), 20_000: (50, 40, 10)}
"""Tasks, rules and seeds, by the number of jobs."""
FEW, MANY = 8, 40  # jobs to run; the difference of the two runs is the cost of a job
CALLS = 20
CLI = ("-m", "grape_bench")
STEP = ("-m", "benchmarks.growth", "--step")
COMMANDS = {
    "`plan`": (*CLI, "plan", "growth.toml", "--no-profile"),
    "`run` with nothing to do": (*CLI, "run", "growth.toml", "--tracking-uri", "none"),
    "`show`": (*CLI, "show", "t0.dfa.s0"),
    "`score`": (*STEP, "score"),
    "`report`": (*CLI, "report", "runs/growth"),
    "`publish`": (*CLI, "publish", "runs/growth", "--rule", "grape", "-o", "published"),
}
"""The name of each measurement, and its command."""


def suite(tasks: int, rules: int, seeds: int) -> str:
    """The suite file. Beyond the first eight, rules are variants of GrAPE."""
    names = [*RULES, *(f"grape:v{number}" for number in range(rules - len(RULES)))]
    head = [f'name = "growth"\nversion = "1.0"\nseeds = {seeds}\nrules = {json.dumps(names[:rules])}']
    head += [
        f'[[task]]\nname = "t{number}"\nmodel = "mlp"\nmodel_args = {{ hidden = [32, 32, 32] }}\n'
        'dataset = "digits"\nepochs = 10\nbatch_size = 32\noptimizer = { name = "adamw", lr = 3e-3 }'
        for number in range(tasks)
    ]
    head += [f'[rule."grape:v{number}"]\nlr = {1e-4 * (1 + number)}' for number in range(rules - len(RULES))]
    return "\n".join(head) + "\n"


def make(size: int) -> None:
    """Write the suite, its manifest and a record with its tables for each of `size` jobs into the current folder."""
    file, out, shape = Path("growth.toml"), Path("runs/growth"), SHAPES[size]
    file.write_text(suite(*shape), encoding="utf-8")
    jobs = make_plan(str(file)).jobs
    out.mkdir(parents=True)
    Manifest("growth", "1.0", git_state(), []).joined(jobs).write(out)
    (out / "suite.toml").write_text(suite(*shape), encoding="utf-8")
    templates = {rule: _template(rule) for rule in RULES}
    random_one = random.Random(0)
    for job in jobs:
        record, tables = templates[job.rule.partition(":")[0]]
        (out / job.name).mkdir()
        for name, text in tables.items():
            (out / job.name / name).write_text(text, encoding="utf-8")
        _write(out / job.name, record, job, random_one.gauss(0, 1))


def _template(rule: str) -> tuple[Record, dict[str, str]]:
    (path,) = RECORDED.glob(f"digits-mlp.{rule}.s0.*")
    tables = {name: (path / name).read_text() for name in (CURVE, DIAGNOSTICS) if (path / name).is_file()}
    return read_record(path / RECORD), tables


def _write(folder: Path, record: Record, job: Job, shift: float) -> None:
    assert record.result is not None and record.result.test is not None
    result = replace(record.result, test=min(100.0, max(0.0, record.result.test + shift)))
    # Tests of the atomic writer are elsewhere: here, flushing 20,000 files to disk would take minutes.
    credit = record.credit and replace(record.credit, declared_transport=True)
    made = replace(record, job=job, id=job.id, name=job.name, result=result, credit=credit)
    (folder / RECORD).write_text(json.dumps(made.to_dict()), encoding="utf-8")


@dataclass(frozen=True)
class Cost:
    """The cost of a command, including the processes that it started."""

    seconds: float  # of CPU time
    mib: float  # the largest resident memory of one process
    text: str  # what the command printed


def measured(command: Sequence[str], folder: Path) -> Cost:
    """Run `python COMMAND` in `folder`. Raises RuntimeError with its output if it fails."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    # The verification that `publish` ends with finds the copies, and so exits with 1.
    if "Traceback" in text or process.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)}: {text[-2000:]}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)


# The trainer of the sweep: a job does nothing, and reports what a recorded job measured.


def check(job: Job) -> None:
    """Check nothing."""


def gpu_count() -> int:
    """No GPU."""
    return 0


def run(job: Job, on_epoch: Callable[[dict[str, Any]], None], checkpoints: object = None) -> dict[str, Any]:
    """The measurements of a job that diverged at once."""
    metric = {"name": "accuracy", "unit": "percent", "chance": 10.0}
    absent = dict.fromkeys(("result", "time", "memory", "profile", "credit", "network", "data", "seeds"))
    return {"status": "diverged", "reason": "a growth benchmark", "metric": metric, **absent}


class Silent:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def run_jobs(count: int) -> None:
    """Run the last `count` jobs of the sweep in the current folder again, without training them."""
    plan, folder = make_plan("growth.toml"), Path("runs/growth")
    for job in plan.jobs[len(plan.jobs) - count :]:
        (folder / job.name / RECORD).unlink()
    run_sweep(Request(plan, folder, options=Options(slots=1, trainer="benchmarks.growth")), Silent(), None)


def print_time_left() -> None:
    """Print the CPU seconds of one prediction of the time left. Half of the jobs wait."""
    jobs, records = make_plan("growth.toml").jobs, read_folder(Path("runs/growth")).records
    half = len(jobs) // 2
    left = TimeLeft(2, jobs[half:])
    for record in records[:half]:
        left.add(record)
    start = time.process_time()
    for _ in range(CALLS):
        left.seconds()
    print((time.process_time() - start) / CALLS)


def print_score() -> None:
    """Read and score the records, as every table does."""
    print(len(score(read_folder(Path("runs/growth")).found().records)))


def table(sizes: Sequence[int]) -> str:
    """Measure the sweeps of `sizes` jobs, and return the table."""
    columns = [measure(size) for size in sizes]
    lines = [f"| what | {' | '.join(f'{size:,} jobs' for size in sizes)} |", "|---" * (1 + len(sizes)) + "|"]
    for name in columns[0]:
        lines.append(f"| {name} | {' | '.join(column[name] for column in columns)} |")
    return "\n".join(lines)


def measure(size: int) -> dict[str, str]:
    """The cells of one column, by the name of the row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured([*STEP, "make", str(size)], folder)
        found: dict[str, str] = {}
        for what, command in COMMANDS.items():
            cost = measured(command, folder)
            found[what] = f"{cost.seconds:.1f} s, {cost.mib:.0f} MiB"
            print(size, what, found[what], flush=True)
        few, many = (measured([*STEP, "jobs", str(count)], folder) for count in (FEW, MANY))
        found["a job, besides its training"] = f"{(many.seconds - few.seconds) / (MANY - FEW):.3f} s"
        found["time left, one call"] = f"{1000 * float(measured([*STEP, 'left'], folder).text):.2f} ms"
        print(size, list(found.items())[-2:], flush=True)
    return found


STEPS: dict[str, Callable[..., None]] = {"make": make, "jobs": run_jobs, "left": print_time_left, "score": print_score}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, help="numbers of jobs: 60, 600, 6000, 20000")
    parser.add_argument("--print", action="store_true", dest="only", help="do not write the table to the docs")
    parser.add_argument("--step", nargs="+", help="internal: what one process of the benchmark does")
    given = parser.parse_args()
    if given.step:
        return STEPS[given.step[0]](*map(int, given.step[1:]))
    os.environ["PYTHONPATH"] = str(ROOT)
    text = table(given.sizes or list(SHAPES))
    print(text)
    if not given.only:
        from benchmarks import page  # imports torch, whose memory the processes above would inherit

        page.write("harness.md", "growth", f"{text}\n\n{page.machine()}.")
    return None


if __name__ == "__main__":
    main()
