"""The job of the control `frozen`: the best head on the untrained model, instead of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grape_bench.job.converged_head import ConvergedHead, converged_head
from grape_bench.job.description import credit_of, metric_of, network_of, result_of, seeds_of
from grape_bench.record.job import Job
from grape_bench.record.table import validation_column
from grape_bench.train.loop import LossNotFiniteError, Row, Trainer
from grape_bench.train.observers import Spent
from grape_bench.train.precision import arithmetic


def run_frozen(job: Job, trainer: Trainer, on_epoch: Callable[[Row], None], spent: Spent) -> dict[str, Any]:
    """Fit the head of the trainer's untrained model. Returns the measured part of the record, as `run` does.

    The curve has one row. There is no profile, peak memory or diagnostics, because no block is trained.
    """
    spent.training_begins(trainer)
    measured: dict[str, Any] = {
        "metric": metric_of(trainer.objective, trainer.data),
        "credit": {**credit_of(trainer), "bp_fraction": 0.0, "transport": "none"},
        "network": network_of(trainer.network),
        "data": trainer.data.description,
        "seeds": seeds_of(job),
        "arithmetic": arithmetic(trainer.clock.device),
    }
    head, reason = None, ""
    with trainer.clock.running():
        try:
            head = converged_head(trainer, job)
        except LossNotFiniteError as error:
            reason = str(error)
    if head:
        on_epoch(_row(head, trainer))
        measured |= {"result": result_of(head.validation, head.train_loss, head.test), "features": head.features()}
    return {
        **measured,
        "status": "diverged" if reason else "finished",
        "reason": reason,
        "time": _time(head, trainer, spent),
    }


def _row(head: ConvergedHead, trainer: Trainer) -> Row:
    """The row of curve.csv."""
    return {
        "epoch": head.epochs,
        "samples": head.samples,
        "seconds": trainer.clock.seconds,
        "train_loss": head.train_loss,
        "validation_loss": head.validation.loss,
        validation_column(trainer.objective.metric): head.validation.value,
    }


def _time(head: ConvergedHead | None, trainer: Trainer, spent: Spent) -> dict[str, float]:
    total = spent.total()
    return {
        "setup_s": spent.setup,
        "train_s": trainer.clock.seconds,
        "evaluate_s": total - spent.setup - trainer.clock.seconds,
        "total_s": total,
        "resumed": spent.resumed,
        "steps": head.steps if head else 0,
        "samples": head.samples if head else 0,
    }
