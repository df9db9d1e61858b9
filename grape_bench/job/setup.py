"""The parts of a job before its first step: device, data, model, optimizer, trainer."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from grape_bench import data as data_sources
from grape_bench import models
from grape_bench.attachment import attach
from grape_bench.cost.clock import Clock
from grape_bench.data.dataset import DataSet
from grape_bench.errors import DoesNotApplyError, UserError
from grape_bench.job.optimizer import freeze, make_optimizer, model_groups
from grape_bench.job.schedule import make_schedule
from grape_bench.network.modes import Modes
from grape_bench.network.network import Network
from grape_bench.network.trace import Batch
from grape_bench.objectives.make import make_objective
from grape_bench.objectives.objective import Objective
from grape_bench.record.job import OPTIMIZER_SETTINGS, Job
from grape_bench.rules.make import check_settings, make_rule
from grape_bench.rules.names import RULES
from grape_bench.streams import stream_seed
from grape_bench.train import data_parallel
from grape_bench.train.average import WeightAverage
from grape_bench.train.budget import Budget
from grape_bench.train.loop import Trainer
from grape_bench.train.precision import Precision
from grape_bench.train.random_state import seed_everything

EXAMPLE = 4  # samples in the forward that finds the blocks


def pick_device() -> torch.device:
    """This process's GPU (the first visible one in a single process), else the CPU."""
    return data_parallel.local_device()


def load_data(job: Job, device: torch.device) -> DataSet:
    """Load this process's part of the job's data set, on `device`. The last data set is cached for the next job."""
    data = _load(job.dataset, json.dumps(job.dataset_args, sort_keys=True), str(device))
    return data.for_process(data_parallel.rank(), data_parallel.size())


@lru_cache(maxsize=1)
def _load(dataset: str, args: str, device: str) -> DataSet:
    return data_sources.load(dataset, args=json.loads(args), device=torch.device(device))


def pick_objective(job: Job, data: DataSet) -> Objective:
    """Make the objective that the job names, or the default of the data set.

    Raises UserError if it does not fit the data, or if the job's rule needs classes but the targets are values.
    """
    objective = make_objective(job.objective or data.objective, **(job.objective_args or {})).bind(data)
    wanted = getattr(RULES.get(job.rule_name.reference), "targets", "any")
    if wanted == "classes" and objective.targets == "values":
        raise DoesNotApplyError(
            f"rule {job.rule!r} learns from classes, but the targets of {job.objective or data.objective!r} are values",
            where=f"task {job.task!r}",
            hint="a rule that reads the error, such as dfa",
        )
    if data.mixed and (wanted == "classes" or not objective.shares):
        who = f"rule {job.rule!r}" if objective.shares else f"objective {job.objective or data.objective!r}"
        hint = "remove mixup and cutmix from dataset_args"
        raise UserError(f"{who} cannot learn from mixed samples", where=f"task {job.task!r}", hint=hint)
    return objective


def build_model(job: Job, data: DataSet, device: torch.device) -> nn.Module:
    """Build the job's model, in the modes in which it trains.

    It has as many outputs as the objective needs. Its weights come from the "init" stream, so they are the same for
    every rule.
    """
    seed_everything(stream_seed(job.seed, "init"))
    outputs = pick_objective(job, data).size
    model = models.build(job.model, shape=data.shape, classes=outputs, args=job.model_args, data=data).to(device)
    Modes(model).train()
    freeze(model, job.groups or {})
    return model


def budget_of(job: Job, data: DataSet) -> Budget:
    """How long the job trains, and when it is evaluated."""
    batches, accumulate = data.train.batch_count(job.batch_size), job.accumulate
    in_steps = job.steps is not None or job.evaluate_every is not None
    budget = Budget(job.steps or 1, batches, accumulate, job.evaluate_every, in_steps)
    return replace(budget, steps=job.epochs * budget.steps_per_epoch) if job.epochs else budget


def process_seed(job: Job, stream: str) -> int:
    """The seed of a stream that must differ between the processes of one training."""
    return stream_seed(job.seed, stream) + data_parallel.rank()


def example_of(model: nn.Module, batch: Batch) -> tuple[Any, ...] | dict[str, Any]:
    """Convert `batch` to an example for `attach`: positional arguments, or keywords if there are any."""
    args, kwargs = batch
    if not kwargs:
        return args
    return {**inspect.signature(model.forward).bind_partial(*args).arguments, **kwargs}


def make_trainer(job: Job, model: nn.Module, data: DataSet, rule: str, settings: dict[str, Any]) -> Trainer:
    """Attach `rule` to `model`, and make its trainer: precision, optimizer, schedule and random streams."""
    batch, _ = next(iter(data.validation.batches(EXAMPLE)))
    precision = Precision(job.precision, pick_device())
    objective = pick_objective(job, data)
    cuts: dict[str, Any] = {"blocks": job.blocks or (), "granularity": job.granularity, "cuts": job.cuts}
    cuts["axis"] = objective.axis
    check_settings(rule, settings, also=OPTIMIZER_SETTINGS)
    network = attach(model, make_rule(rule, **settings), example_of(model, batch), seed=job.seed, **cuts)
    _check_batches(job, data)
    network.streams.split(data_parallel.rank())  # each process draws its own directions, so their mean is less noisy
    if job.compile:
        model.compile()
    budget = budget_of(job, data)
    optimizer = make_optimizer(_groups(job, network), job.optimizer)
    schedule = make_schedule(optimizer, job.schedule, budget.steps, warmup=job.warmup, args=job.schedule_args)
    return Trainer(
        network=network,
        data=data,
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        batch_size=job.batch_size,
        budget=budget,
        order=torch.Generator().manual_seed(stream_seed(job.seed, "order")),
        clock=Clock(network.device),
        clip=job.clip,
        average=WeightAverage(network.model, job.ema) if job.ema is not None else None,
        precision=precision,
    )


def _groups(job: Job, network: Network) -> list[dict[str, Any]]:
    """The optimizer's groups: first the model's parameters, then those that the rule owns."""
    whole, *owned = network.parameter_groups()
    if job.decay == "all" and not job.groups:
        return [whole, *owned]
    return [*model_groups(network.model, job.optimizer["lr"], job.decay, job.groups or {}), *owned]


def _check_batches(job: Job, data: DataSet) -> None:
    """Raise UserError unless every process gets an equal share of each batch. Otherwise the mean gradient is wrong."""
    joint = min(job.batch_size, len(data.train))
    if joint % job.nproc:
        what = f"batches of {joint} samples cannot be divided evenly among {job.nproc} processes"
        raise UserError(what, where=f"task {job.task!r}", hint=f"--set {job.task}.batch_size={job.nproc * 16}")
