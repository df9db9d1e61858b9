"""One job, from its description to what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from grape_bench.diagnose.observer import Diagnostics
from grape_bench.errors import UserError
from grape_bench.network.network import Network
from grape_bench.record.job import Job
from grape_bench.streams import STREAMS, stream_seed
from grape_bench.train import data_parallel
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.compile import CompileTime
from grape_bench.train.evaluate import logits_of
from grape_bench.train.loop import LossNotFiniteError, Row, Trainer
from grape_bench.train.memory import PeakMemory
from grape_bench.train.observer import Observer
from grape_bench.train.precision import set_arithmetic
from grape_bench.train.profile import profile
from grape_bench.train.random_state import seed_everything
from grape_bench.train.setup import EXAMPLE, build_model, load_data, make_trainer, pick_device, process_seed
from grape_bench.train.spent import Spent


def run(job: Job, on_epoch: Callable[[Row], None], checkpoints: Checkpoints | None = None) -> dict[str, Any]:
    """Train and test `job` in this process, from its last checkpoint on; the measured part of its record.

    Where the job has several processes this is one of them, and waits for the others.

    `on_epoch` gets a row of curve.csv after each epoch, those before the checkpoint included. A loss that is not finite
    is a result (status "diverged"); user errors and crashes are raised.
    """
    with data_parallel.joined(job.nproc):
        return _run(job, on_epoch, checkpoints)


def _run(job: Job, on_epoch: Callable[[Row], None], checkpoints: Checkpoints | None) -> dict[str, Any]:
    spent = Spent()
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    model = build_model(job, data, device)
    memory = PeakMemory(device)
    trainer = make_trainer(job, model, data, job.rule, job.rule_settings)
    compiling = CompileTime()
    diagnostics = _diagnostics(job, memory)
    trainer.observers += [memory, spent, *diagnostics, *([compiling] if job.compile else []), _Curve(on_epoch)]
    trainer.observers += [checkpoints] if checkpoints else []
    seed_everything(process_seed(job, "dropout"))
    if checkpoints:
        checkpoints.resume(trainer)
    reason = ""
    try:
        trainer.train(job.epochs)
    except LossNotFiniteError as error:
        reason = str(error)
    peak = memory.measure()
    result = None if reason else _result(trainer, job)
    aside = {
        "compile_s": compiling.seconds,
        "checkpoint_s": checkpoints.seconds if checkpoints else 0.0,
        "diagnose_s": sum(observer.seconds for observer in diagnostics),
    }
    trained = spent.total()
    cost = profile(job, data) if job.profile and job.nproc == 1 and not reason else None
    return {
        "status": "diverged" if reason else "finished",
        "reason": reason,
        "metric": {"name": "accuracy", "unit": "percent", "chance": 100 / data.classes},
        "result": result,
        "time": _time(trainer, spent, aside, trained),
        "memory": peak,
        "profile": cost,
        "credit": _credit(trainer.network, trainer.steps_per_epoch, job.epochs),
        "diagnostics": diagnostics[0].result() if diagnostics else None,
        "network": _description(trainer.network),
        "data": data.description,
        "seeds": {"seed": job.seed, **{stream: stream_seed(job.seed, stream) for stream in STREAMS}},
    }


def _time(trainer: Trainer, spent: Spent, aside: dict[str, float], trained: float) -> dict[str, float]:
    """Where the seconds went: `aside` is what the clock did not count, `trained` when the profile began."""
    train_s = trainer.clock.seconds
    return {
        "setup_s": spent.setup,
        "train_s": train_s,
        "evaluate_s": trained - spent.setup - train_s - sum(aside.values()),
        **aside,
        "profile_s": spent.total() - trained,
        "total_s": spent.total(),
        "resumed": spent.resumed,
        "steps": trainer.steps_per_epoch * len(trainer.rows),
        "samples": int(trainer.rows[-1]["samples"]) if trainer.rows else 0,
    }


def _diagnostics(job: Job, memory: PeakMemory) -> list[Diagnostics]:
    """At most one; none in a trial of a search, in a job of several processes, and where they are turned off."""
    if job.trial is not None or job.nproc > 1 or job.probes == 0:
        return []
    return [Diagnostics(job.epochs, job.probes, memory)]


def gpu_count() -> int:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES lets it."""
    return torch.cuda.device_count()


def check(job: Job) -> None:
    """Raise UserError for what can be known before training: sources, settings, blocks, output."""
    set_arithmetic(job.precision, deterministic=job.deterministic)
    device = pick_device()
    data = load_data(job, device)
    model = build_model(job, data, device)
    inputs, _ = next(iter(data.validation.batches(EXAMPLE)))
    model.eval()
    with torch.no_grad():
        try:
            output = model(inputs)
        except Exception as error:
            raise UserError(
                f"model {job.model!r} does not take {tuple(inputs.shape[1:])} samples of {job.dataset!r}: {error}",
                where=f"task {job.task!r}",
                hint="other model_args, or dataset_args such as resize = 32, channels = 3",
            ) from error
    logits_of(output, data.classes)
    model.train()
    make_trainer(job, model, data, job.rule, job.rule_settings)


class _Curve(Observer):
    """Hands each epoch's row on; after an interruption those before it, too."""

    def __init__(self, on_epoch: Callable[[Row], None]) -> None:
        self.on_epoch = on_epoch

    def training_begins(self, trainer: Trainer) -> None:
        """The rows of the processes before."""
        for row in trainer.rows:
            self.on_epoch(row)

    def epoch_ends(self, trainer: Trainer) -> None:
        """The row that was just added."""
        self.on_epoch(trainer.rows[-1])


def _result(trainer: Trainer, job: Job) -> dict[str, float]:
    """The only place where the test split is read: once, after the last step, and not in a trial of a search."""
    last = trainer.rows[-1]
    result = {
        "validation": last["validation_accuracy"],
        "validation_loss": last["validation_loss"],
        "train_loss": last["train_loss"],
    }
    if job.trial is not None:
        return result
    test = trainer.evaluate(trainer.data.test)
    return {"test": test.accuracy, "test_loss": test.loss, **result}


def _credit(network: Network, batches: int, epochs: int) -> dict[str, Any]:
    return {
        "bp_fraction": network.bp_fraction,
        "declared_bp_fraction": network.rule.bp_fraction(batches, epochs) if network.rule else None,
        "backward_passes": network.backward_passes,
        "hidden_block_passes": network.hidden_block_passes,
    }


def _description(network: Network) -> dict[str, Any]:
    counts = Counter(network.report().values())
    feedback = {name: asdict(kept) for name, kept in network.feedback().items()}
    return {
        "blocks": [
            {"name": block.name, "shape": list(block.shape), "feedback": feedback.get(block.name)}
            for block in network.blocks
        ],
        "parameters": {credit: counts[credit] for credit in ("rule", "exact", "frozen")},
    }
