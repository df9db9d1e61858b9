"""The cost of diagnostics at their default schedule: their time ÷ the training time.

Writes its table into docs/diagnostics.md.

python -m benchmarks.diagnostics            about three minutes on one CPU thread
"""

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace

import torch

from benchmarks import page
from grape_bench.job import run as training
from grape_bench.plan.expand import make_plan
from grape_bench.record.job import Job

RULES = ("bp", "fa", "dfa", "grape-lazy")
CNN = """\
name = "cnn"
version = "1.0"
rules = ["bp", "fa", "dfa", "grape-lazy"]
seeds = 1
[[task]]
name = "digits-cnn"
model = "cnn"
dataset = "digits"
dataset_args = { resize = 32, channels = 3 }
epochs = 12
batch_size = 64
optimizer = { name = "adamw", lr = 1e-3 }
"""


def jobs() -> list[Job]:
    """The jobs of quickstart, which are as short as jobs get, and those of a CNN on images of 32 pixels."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(CNN)
        file.flush()
        found = [*make_plan("quickstart").jobs, *make_plan(file.name).jobs]
    return [replace(job, profile=False) for job in found if job.seed == 0 and job.rule in RULES]


def main() -> None:
    torch.set_num_threads(1)
    gc.freeze()  # like a worker
    rows = []
    for job in jobs():
        found = training.run(job, lambda row: None)
        time, moments = found["time"], found["diagnostics"]["moments"]
        share = 100 * time["diagnose_s"] / time["train_s"]
        rows.append(
            f"| {job.task} | {job.rule} | {time['steps']} | {moments} | {time['train_s']:.1f} s "
            f"| {time['diagnose_s']:.2f} s | {share:.1f} % |"
        )
        print(rows[-1], flush=True)
    head = "| task | rule | steps | moments | training | diagnostics | share |\n|---|---|---|---|---|---|---|\n"
    page.write("diagnostics.md", "diagnostics", head + "\n".join(rows) + f"\n\n{page.machine()}, one thread.")


if __name__ == "__main__":
    main()
