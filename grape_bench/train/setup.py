"""What a job is made of, before its first step: device, data, model, trainer."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from grape_bench import data as data_sources
from grape_bench import models
from grape_bench.data.dataset import DataSet
from grape_bench.errors import UserError
from grape_bench.network.attach import attach
from grape_bench.record.job import Job
from grape_bench.rules.make import make_rule
from grape_bench.streams import stream_seed
from grape_bench.train import data_parallel
from grape_bench.train.clock import Clock
from grape_bench.train.loop import Trainer
from grape_bench.train.optimize import make_optimizer, make_schedule
from grape_bench.train.precision import Precision
from grape_bench.train.random_state import seed_everything

EXAMPLE = 4  # samples of the forward that finds the blocks


def pick_device() -> torch.device:
    """This process's GPU (the first visible one, where it trains alone), else the CPU."""
    return data_parallel.local_device()


def load_data(job: Job, device: torch.device) -> DataSet:
    """This process's part of the job's data set on `device`; the last set is kept, as a task's checks come in a row."""
    data = _load(job.dataset, json.dumps(job.dataset_args, sort_keys=True), str(device))
    return data.part(data_parallel.rank(), data_parallel.size())


@lru_cache(maxsize=1)
def _load(dataset: str, args: str, device: str) -> DataSet:
    return data_sources.load(dataset, args=json.loads(args), device=torch.device(device))


def build_model(job: Job, data: DataSet, device: torch.device) -> nn.Module:
    """The job's model with weights from the init stream: the same for every rule."""
    seed_everything(stream_seed(job.seed, "init"))
    return models.build(job.model, shape=data.shape, classes=data.classes, args=job.model_args).to(device)


def process_seed(job: Job, stream: str) -> int:
    """The seed of a stream that is to differ between the processes of one training."""
    return stream_seed(job.seed, stream) + data_parallel.rank()


def make_trainer(job: Job, model: nn.Module, data: DataSet, rule: str, settings: dict[str, Any]) -> Trainer:
    """`model` with `rule` attached, its arithmetic, its optimizer and its streams."""
    example, _ = next(iter(data.validation.batches(EXAMPLE)))
    precision = Precision(job.precision, example.device)
    network = attach(model, make_rule(rule, **settings), example, seed=job.seed)
    _check_batches(job, data)
    for place in {"cpu", str(network.device)}:  # other directions in each process: their mean tells more
        network.generator("perturbation", place).manual_seed(process_seed(job, "perturbation"))
    if job.compile:
        model.compile()
    optimizer = make_optimizer(model.parameters(), job.optimizer)
    steps = job.epochs * data.train.batch_count(job.batch_size)
    order = torch.Generator().manual_seed(stream_seed(job.seed, "order"))
    schedule = make_schedule(optimizer, job.schedule, steps)
    return Trainer(network, data, optimizer, schedule, job.batch_size, order, Clock(network.device), precision)


def _check_batches(job: Job, data: DataSet) -> None:
    """Every process must have equally much of a batch: the mean of their gradients is then the joint batch's."""
    joint = min(job.batch_size, len(data.train))
    if joint % job.nproc:
        what = f"batches of {joint} samples cannot be shared out evenly among {job.nproc} processes"
        raise UserError(what, where=f"task {job.task!r}", hint=f"--set {job.task}.batch_size={job.nproc * 16}")
