"""The overhead of the harness, for 200 trivial jobs and over a plain PyTorch loop. Writes a table to docs/harness.md.

python -m benchmarks.harness            about seven minutes on 2 cores, on which nothing else should run
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F

from benchmarks import page
from grape_bench.execute.worker import main as run_worker
from grape_bench.job import run as training
from grape_bench.job.setup import build_model, load_data, pick_device
from grape_bench.plan.expand import make_plan
from grape_bench.record.environment import git_state
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest
from grape_bench.streams import stream_seed

JOBS = 200
TRIVIAL = f"""\
name = "trivial"
version = "1.0"
rules = ["bp"]
seeds = {JOBS}
[[task]]
name = "tiny"
model = "mlp"
model_args = {{ hidden = [8] }}
dataset = "digits"
epochs = 1
batch_size = 256
optimizer = {{ name = "sgd", lr = 0.1 }}
"""
MINUTE = """\
name = "minute"
version = "1.0"
rules = ["bp"]
seeds = 1
[[task]]
name = "digits"
dataset = "digits"
batch_size = 64
optimizer = { name = "adamw", lr = 1e-3 }
"""
# The suites' CNN on images of CIFAR-10's size, and a network with steps so short that Python's share shows.
MODELS = {
    "CNN at 32 pixels": """\
epochs = 32
model = "cnn"
dataset_args = { resize = 32, channels = 3 }
""",
    "tiny ViT": """\
epochs = 200
model = "timm:vit_tiny_patch16_224"
model_args = { img_size = 8, patch_size = 4, embed_dim = 64, depth = 4, num_heads = 2 }
""",
}


@dataclass
class Many:
    """The seconds of a whole command, and the seconds that its jobs spent in training and evaluation."""

    wall_s: float
    slots: int
    work_s: float

    @property
    def overhead_s(self) -> float:
        """Seconds per job outside of training and evaluation, including a share of the command's own start and end."""
        return (self.wall_s - self.work_s / self.slots) / JOBS


def many(mirror: str) -> Many:
    """Run the trivial jobs with the command that a user types."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "trivial.toml").write_text(TRIVIAL)
        command = [sys.executable, "-m", "grape_bench", "run", "trivial.toml", "--tracking-uri", mirror]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        wall = time.perf_counter() - start
        times = [json.loads(path.read_text())["time"] for path in folder.glob("runs/trivial/*/record.json")]
    assert len(times) == JOBS
    work = sum(one["train_s"] + one["evaluate_s"] for one in times)
    return Many(wall, len(os.sched_getaffinity(0)), work)


class PlainLoop:
    """The plain PyTorch loop for the same training: epochs of steps, each followed by a validation."""

    def __init__(self, job: Job) -> None:
        self.data = load_data(job, pick_device())
        self.model = build_model(job, self.data, pick_device())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.order = torch.Generator().manual_seed(stream_seed(job.seed, "order"))
        self.batch_size = job.batch_size

    def epoch(self) -> None:
        """Train and validate once."""
        self.model.train()
        total = torch.zeros(())
        for (args, _), labels in self.data.train.batches(self.batch_size, generator=self.order):
            self.optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(self.model(*args), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        self.evaluate(self.data.validation)

    @torch.no_grad()
    def evaluate(self, split) -> float:
        """Accuracy on `split`."""
        self.model.eval()
        correct = loss = 0.0
        for (args, _), labels in split.batches(self.batch_size):
            logits = self.model(*args)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
        return correct / len(split)


@dataclass
class Turns:
    """Seconds of each epoch, measured in turns, and of everything before the first and after the last."""

    plain: list[float] = field(default_factory=list)
    harness: list[float] = field(default_factory=list)
    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def per_epoch(self) -> float:
        """Median over epochs of the harness's time ÷ the mean of the plain epochs before and after it, minus one."""
        around = [(before + after) / 2 for before, after in pairwise(self.plain)]
        return statistics.median(own / plain for own, plain in zip(self.harness[1:], around, strict=True)) - 1


def in_turns(model: str) -> Turns:
    """Run the job in a worker. After each of its epochs, time one epoch of the plain loop, with the job paused."""
    turns = Turns()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "minute.toml").write_text(MINUTE + model)
        (job,) = make_plan(str(folder / "minute.toml")).jobs
        loop = PlainLoop(job)
        original = training._Curve.evaluated
        last = time.perf_counter()

        def evaluated(observer, trainer):
            nonlocal last
            original(observer, trainer)
            turns.harness.append(time.perf_counter() - last)
            start = time.perf_counter()
            loop.epoch()
            turns.plain.append(time.perf_counter() - start)
            last = time.perf_counter()

        def training_begins(observer, trainer):
            nonlocal last
            turns.before_s, last = time.perf_counter() - last, time.perf_counter()

        manifest = Manifest("minute", "1.0", git_state(), [job]).write(folder)
        hooks = {"evaluated": evaluated, "training_begins": training_begins}
        with patch.multiple(training._Curve, **hooks):
            code = run_worker([str(manifest), job.id, "--threads", "1"])
        turns.after_s = time.perf_counter() - last
        assert code == 0, (folder / job.name / "stderr.txt").read_text()
    return turns


def row(what: str, measured: str, limit: str) -> str:
    return f"| {what} | {measured} | {limit} |"


def compared(name: str, turns: Turns) -> tuple[str, str]:
    """Make two rows: the epochs compared with the plain loop's, and the time before and after them."""
    plain, harness = sum(turns.plain), sum(turns.harness)
    epoch_ms = 1000 * statistics.median(turns.plain)
    what = (
        f"{name}, a job of {plain:.0f} s: {len(turns.plain)} epochs of {epoch_ms:.0f} ms, in turns with a plain loop's"
    )
    measured = f"{100 * turns.per_epoch:+.1f} % (median epoch), {100 * (harness / plain - 1):+.1f} % (sum)"
    ends = f"{turns.before_s:.2f} s; {turns.after_s:.2f} s"
    return row(what, measured, "2 %"), row(f"{name}: set-up; test, record", ends, "")


def main() -> None:
    torch.set_num_threads(1)
    out = os.dup(1)  # the worker redirects standard output
    rows = []
    for mirror, label in (("none", "without"), ("sqlite:///mlflow.db", "with")):
        found = many(mirror)
        rows.append(
            row(
                f"{JOBS} trivial jobs on {found.slots} slots, {label} the MLflow mirror: {found.wall_s:.1f} s in all",
                f"{found.overhead_s:.3f} s a job",
                "0.15 s",
            )
        )
        os.write(out, f"{rows[-1]}\n".encode())
    for name, model in MODELS.items():
        turns = in_turns(model)
        rows += [*compared(name, turns)]
        os.write(out, ("\n".join(rows[-2:]) + "\n").encode())
    table = "\n".join(["| what | measured | limit |", "|---|---|---|", *rows])
    page.write("harness.md", "harness", f"{table}\n\n{page.machine()}.")


if __name__ == "__main__":
    main()
