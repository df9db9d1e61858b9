"""One job in one process: data + model + rule -> training -> diagnostics -> cost -> the measured part of its record.

`_run` is the training script. Read it from top to bottom. Every executor reaches it through the worker, `python -m
grape_bench.execute.worker MANIFEST JOB_ID`. To run one epoch in Python, without any files:

    job = Job(suite="me", version="1", task="digits", rule="grape", rule_settings={}, rule_source="", seed=0,
              model="mlp", model_args={"hidden": [64, 64]}, dataset="digits", dataset_args={}, epochs=1, batch_size=64,
              optimizer={"name": "adamw", "lr": 1e-3}, schedule="constant")
    measured = run(job, on_epoch=print)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from typing_extensions import override

from grape_bench.diagnose.observer import Diagnostics
from grape_bench.diagnose.probe import Probe
from grape_bench.errors import UserError, log_error
from grape_bench.job.converged_head import features_of_training
from grape_bench.job.description import check_probe, credit_of, describe, metric_of, network_of, result_of, seeds_of
from grape_bench.job.extra import Extra
from grape_bench.job.frozen import run_frozen
from grape_bench.job.profile import profile
from grape_bench.job.setup import (
    EXAMPLE,
    build_model,
    load_data,
    make_trainer,
    pick_device,
    pick_objective,
    process_seed,
)
from grape_bench.job.transport import transport_of
from grape_bench.network.modes import evaluation
from grape_bench.record import parts
from grape_bench.record.job import Job
from grape_bench.record.profile import Profile
from grape_bench.record.table import validation_column
from grape_bench.rules.frozen import Frozen
from grape_bench.train import data_parallel
from grape_bench.train.best import BestWeights
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.evaluate import Score
from grape_bench.train.loop import LossNotFiniteError, Observer, Row, Trainer
from grape_bench.train.observers import FirstStep, Spent, TrainingMemory
from grape_bench.train.precision import arithmetic, set_arithmetic
from grape_bench.train.random_state import seed_everything


def run(job: Job, on_epoch: Callable[[Row], None], checkpoints: Checkpoints | None = None) -> dict[str, Any]:
    """Train and test `job` in this process, from its last checkpoint if there is one.

    Returns the measured part of the record. `on_epoch` gets each row of curve.csv, including those from before a
    resume. A loss that is not finite is a result (status "diverged"). User errors and crashes are raised. A job with
    several processes calls this once in each of them.
    """
    with data_parallel.joined(job.nproc):
        return _run(job, on_epoch, checkpoints)


def _run(job: Job, on_epoch: Callable[[Row], None], checkpoints: Checkpoints | None) -> dict[str, Any]:
    # Setup: arithmetic, device, data, model. Weights come from the "init" stream, so every rule starts from the same
    # ones.
    spent = Spent()
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    model = build_model(job, data, device)

    # The rule. Memory is measured from here on: weights are the baseline, and feedback and gradients come on top.
    memory = TrainingMemory(device)
    trainer = make_trainer(job, model, data, job.rule, job.rule_settings)
    if isinstance(trainer.network.rule, Frozen):
        return run_frozen(job, trainer, on_epoch, spent)

    watched = _Watched.of(job, memory, spent, checkpoints)
    trainer.observers += watched.observers(on_epoch)

    # Train. Dropout draws from its own stream, seeded after all setup that may have used the global generators.
    seed_everything(process_seed(job, "dropout"))
    if checkpoints:
        checkpoints.resume(trainer)
    reason = ""
    try:
        trainer.train()
    except LossNotFiniteError as error:
        reason = str(error)

    return _measured(trainer, job, watched, reason)


@dataclass(frozen=True)
class _Watched:
    """The observers of a training, which do not change it. None for what this job does not need."""

    memory: TrainingMemory
    spent: Spent
    best: BestWeights | None
    diagnostics: Diagnostics | None
    first: FirstStep | None
    checkpoints: Checkpoints | None

    @classmethod
    def of(cls, job: Job, memory: TrainingMemory, spent: Spent, checkpoints: Checkpoints | None) -> _Watched:
        """The observers of `job`."""
        on_gpu = memory.device.type == "cuda"
        # No diagnostics in a tuning trial, in a job of several processes, or where the suite turns them off.
        diagnosed = job.trial is None and _alone(job.probes != 0, job)
        return cls(
            memory,
            spent,
            BestWeights() if job.select == "best" else None,
            Diagnostics(job.probes, memory) if diagnosed else None,
            FirstStep("compile_s" if job.compile else "warm_up_s") if job.compile or on_gpu else None,
            checkpoints,
        )

    def observers(self, on_epoch: Callable[[Row], None]) -> list[Observer]:
        """In calling order. Checkpoints come last, so that they see the final state of the others."""
        every = (self.memory, self.spent, self.best, self.diagnostics, self.first, _Curve(on_epoch))
        return [observer for observer in (*every, self.checkpoints) if observer]

    @property
    def aside(self) -> dict[str, float]:
        """The seconds that the training clock did not count."""
        return {
            "compile_s": 0.0,
            **({self.first.part: self.first.seconds} if self.first else {}),
            "checkpoint_s": self.checkpoints.seconds if self.checkpoints else 0.0,
            "diagnose_s": self.diagnostics.seconds if self.diagnostics else 0.0,
        }


def _measured(trainer: Trainer, job: Job, watched: _Watched, reason: str) -> dict[str, Any]:
    """Test once, then profile new copies of the model under BP and the rule. All of this is outside the timed training.

    `reason` says why training diverged. The result is computed first, so an error in the profile or in a description
    loses only that part.
    """
    ok, data, spent, extra = not reason, trainer.data, watched.spent, Extra()
    peak = watched.memory.measure()
    result = _result(trainer, job, watched.best) if ok else None
    aside, trained = watched.aside, spent.total()
    cost = extra.part("profile", Profile, partial(profile, job, data)) if ok and _alone(job.profile, job) else None
    profiled = spent.total()
    diagnostics = watched.diagnostics
    measured = {
        "status": "finished" if ok else "diverged",
        "reason": reason,
        "metric": metric_of(trainer.objective, data),
        "result": result,
        "memory": {**peak, **(cost or {}).get("live", {})},
        "profile": cost,
        "diagnostics": diagnostics.result() if diagnostics else None,
        "data": data.description,
        "seeds": seeds_of(job),
        "arithmetic": arithmetic(trainer.clock.device),
        **_descriptions(trainer, job, extra),
    }
    # Last, because it replaces the trained head: the best head on the trained features.
    if ok and job.trial is None and _alone(job.features is not False, job):
        measured["features"] = extra.part("features", parts.Features, partial(features_of_training, trainer, job))
    time = _time(trainer, spent, aside, trained, profiled)
    return {**measured, "time": time, "lost": extra.lost or None}


def _alone(wanted: bool, job: Job) -> bool:
    """Whether to take a `wanted` measurement. With several processes, a failure in one would block the others."""
    return wanted and job.nproc == 1


def _descriptions(trainer: Trainer, job: Job, extra: Extra) -> dict[str, Any]:
    """What the record says about the rule and the network."""
    credit = extra.part("credit", parts.Credit, partial(credit_of, trainer))
    transport = extra.part("transport", None, partial(transport_of, job, trainer.data, trainer.objective))
    return {
        "credit": {**credit, **(transport or {})} if credit else None,
        "network": extra.part("network", parts.Network, partial(network_of, trainer.network)),
    }


def _result(trainer: Trainer, job: Job, best: BestWeights | None) -> dict[str, float]:
    """Final scores. Reads the test split once, after the last step, and never in a tuning trial.

    Besides it, only the converged head of `features` is scored on the test split.
    """
    row = best.restore(trainer) if best else trainer.rows[-1]
    test = None if job.trial is not None else trainer.evaluate(trainer.data.test, with_error=True)
    validation = Score(row["validation_loss"], row[validation_column(trainer.objective.metric)])
    return result_of(validation, row["train_loss"], test)


def _time(trainer: Trainer, spent: Spent, aside: dict[str, float], trained: float, profiled: float) -> dict[str, float]:
    """Where the seconds went. `aside` is the time that the training clock did not count.

    The profile began at `trained` seconds, and the fit of the converged head at `profiled` seconds.
    """
    train_s, total = trainer.clock.seconds, spent.total()
    return {
        "setup_s": spent.setup,
        "train_s": train_s,
        "evaluate_s": trained - spent.setup - train_s - sum(aside.values()),
        **aside,
        "profile_s": profiled - trained,
        "features_s": total - profiled,
        "total_s": total,
        "resumed": spent.resumed,
        "steps": round(trainer.rows[-1]["epoch"] * trainer.steps_per_epoch) if trainer.rows else 0,
        "samples": int(trainer.rows[-1]["samples"]) if trainer.rows else 0,
    }


class _Curve(Observer):
    """Passes the row of each evaluation to `on_epoch`. After a resume, first passes the earlier rows."""

    def __init__(self, on_epoch: Callable[[Row], None]) -> None:
        self.on_epoch = on_epoch

    @override
    def training_begins(self, trainer: Trainer) -> None:
        for row in trainer.rows:
            self.on_epoch(row)

    @override
    def evaluated(self, trainer: Trainer) -> None:
        self.on_epoch(trainer.rows[-1])


def check(job: Job) -> None:
    """Raise UserError for mistakes that can be found before training: names, settings, blocks, model output."""
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    model = build_model(job, data, device)
    (args, kwargs), target = next(iter(data.validation.batches(EXAMPLE)))
    with evaluation(model), torch.no_grad():
        try:
            output = model(*args, **kwargs)
        except Exception as error:
            raise UserError(
                f"model {job.model!r} does not accept samples of {job.dataset!r}, whose shape is {data.shape}: {error}",
                where=f"task {job.task!r}",
                hint="change model_args, or dataset_args such as resize = 32, channels = 3",
            ) from error
    objective = pick_objective(job, data)
    for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        objective.check_split(split, name)
    objective.scored(output, target)
    describe(make_trainer(job, model, data, job.rule, job.rule_settings))


def rehearse(job: Job) -> None:
    """Take one training step and one probe on a few samples, and describe the result, as the run will do.

    Raises UserError if a description or a metric of the probe fails. The run itself records any other error.
    """
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    trainer = make_trainer(
        replace(job, compile=False), build_model(job, data, device), data, job.rule, job.rule_settings
    )
    probe = Probe(data.validation, trainer.loss_of, EXAMPLE, 1)
    try:
        trainer.network.begin_epoch(1)
        trainer.step(*next(iter(data.train.batches(EXAMPLE))))
        if job.probes != 0:
            probe.take(trainer.network, trainer.optimizer)
    except Exception:
        log_error()
        return
    describe(trainer)
    check_probe(probe)


def gpu_count() -> int:
    """The number of GPUs that this process sees (CUDA_VISIBLE_DEVICES limits them)."""
    return torch.cuda.device_count()
