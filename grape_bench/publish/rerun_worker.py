"""Runs one published job again, in two processes: `python -m grape_bench.publish.rerun_worker train|score JOB OUTPUT`.

`train` runs the published rule without access to the real test data, and saves the trained weights. `score` builds the
model from the job, loads these weights and reads the test split. It never imports the rule.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from grape_bench.job.converged_head import converged_head
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device, process_seed
from grape_bench.network.block import load_tensors, tensors_of
from grape_bench.record.job import Job
from grape_bench.rules.frozen import Frozen
from grape_bench.train.best import BestWeights
from grape_bench.train.loop import Trainer
from grape_bench.train.precision import set_arithmetic
from grape_bench.train.random_state import seed_everything

WEIGHTS, SCORE = "weights.pt", "score.json"


def train(job: Job, folder: Path) -> None:
    """Train `job` as `grape_bench.job.run` does, without measurements, and save the weights that are scored."""
    trainer = _trainer(job, job.rule)
    if isinstance(trainer.network.rule, Frozen):
        converged_head(trainer, replace(job, trial=0))  # a trial reads no test split
    else:
        best = BestWeights() if job.select == "best" else None
        trainer.observers += [best] if best else []
        seed_everything(process_seed(job, "dropout"))
        trainer.train()
        if best:
            best.restore(trainer)
    with trainer.scored_weights():
        scored = {name: tensor.detach().clone() for name, tensor in tensors_of(trainer.network.model).items()}
    model = trainer.network.model
    trainer.network.detach()
    torch.save({name: scored[name] for name in tensors_of(model) if name in scored}, folder / WEIGHTS)


def score(job: Job, folder: Path) -> None:
    """Write the test value of the weights in `folder`, evaluated in the same way as after training with BP."""
    trainer = _trainer(replace(job, ema=None), "bp")
    load_tensors(trainer.network.model, torch.load(folder / WEIGHTS, weights_only=True))
    value = trainer.evaluate(trainer.data.test).value
    (folder / SCORE).write_text(json.dumps({"test": value}), encoding="utf-8")


def _trainer(job: Job, rule: str) -> Trainer:
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    settings = job.rule_settings if rule == job.rule else {}
    return make_trainer(job, build_model(job, data, device), data, rule, settings)


if __name__ == "__main__":
    step, described, output = sys.argv[1:]
    torch.set_num_threads(torch.get_num_threads())  # OMP_NUM_THREADS, for every library
    {"train": train, "score": score}[step](Job.from_dict(json.loads(Path(described).read_text())), Path(output))
