"""The best head on a model's features: the score that its output layer can reach if the layers below stay unchanged.

On an untrained model this is the control `frozen`. On a trained model it shows what the hidden layers have learned. A
head that is one linear layer on flat features is fitted to convergence. Any other head is trained by steps until
validation stops improving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from grape_bench.data.dataset import DataSet
from grape_bench.errors import UserError
from grape_bench.job.setup import EXAMPLE, budget_of, make_trainer
from grape_bench.network.block import load_tensors, tensors_of
from grape_bench.network.network import Network
from grape_bench.network.reach import HEAD
from grape_bench.record.job import Job
from grape_bench.record.table import validation_column
from grape_bench.train.best import BestWeights
from grape_bench.train.evaluate import Score
from grape_bench.train.head_features import features_of, gathered, linear_head, set_statistics
from grape_bench.train.head_fit import best_fit
from grape_bench.train.loop import LossNotFiniteError, Trainer
from grape_bench.train.plateau import Plateau

BUDGET, EVALUATIONS = 5, 20
"""A head that is trained by steps gets at most `BUDGET` times the task's steps, and `EVALUATIONS` evaluations."""

RATES = (1e-3, 1e-2, 1e-1, 1.0)
"""The learning rates tried for Adam. The best one after one evaluation is used.

So the result does not depend on the scale of the features or on a rule's tuned settings.
"""


@dataclass(frozen=True)
class ConvergedHead:
    """The scores of a head, its mean training loss, and how it was obtained.

    `test` is None for a trial, and `penalty` is None for a head that was trained by steps. `epochs` and `steps` count
    passes over the training split and optimizer steps. A fit counts as one pass without steps.
    """

    validation: Score
    test: Score | None
    train_loss: float
    samples: int
    epochs: float = 1
    steps: int = 0
    penalty: float | None = None

    def features(self) -> dict[str, float] | None:
        """The scores and the penalty for the record. None for a trial, or if a score is not finite."""
        if self.test is None or not (math.isfinite(self.test.value) and math.isfinite(self.validation.value)):
            return None
        found = {"test": self.test.value, "validation": self.validation.value}
        found |= {} if math.isnan(self.test.error) else {"test_error": self.test.error}
        return found if self.penalty is None else {**found, "penalty": self.penalty}


def converged_head(trainer: Trainer, job: Job) -> ConvergedHead:
    """Replace the head of the trainer's model by the best one, and score it. The model keeps the new head.

    Reads the test split once, unless the job is a trial. Raises LossNotFiniteError, or UserError if the network is not
    cut or its head shares a weight with a block in a way that cannot be undone.
    """
    network, data, objective = trainer.network, trainer.data, trainer.objective
    if not network.blocks:
        raise UserError("the network has no cut, so no part of it is the head")
    if trainer.average:
        with trainer.scored_weights():
            scored = {name: tensor.clone() for name, tensor in tensors_of(network.model).items()}
        load_tensors(network.model, scored)
        trainer.average = None
    trainer.modes.train()
    with torch.compiler.set_stance("force_eager"):
        with trainer.precision.forward():
            set_statistics(network.model, data.train, trainer.batch_size)
            layer = linear_head(network, *next(iter(data.validation.batches(EXAMPLE))), objective)
        return _trained(network, job, data) if layer is None else _fitted(trainer, layer, job)


def features_of_training(trainer: Trainer, job: Job) -> dict[str, float]:
    """The record's `features` after training. Replaces the head of the trainer's model.

    Raises ArithmeticError if a score is not finite.
    """
    found = converged_head(trainer, job).features()
    if found is None:
        raise ArithmeticError("the score is not finite")
    return found


def _fitted(trainer: Trainer, layer: nn.Linear, job: Job) -> ConvergedHead:
    """Fit logistic or ridge regression on the input of `layer`, and write it into the layer."""
    model, data = trainer.network.model, trainer.data
    with trainer.precision.forward():
        train = gathered(features_of(model, layer, data.train, trainer.batch_size))
        validation = features_of(model, layer, data.validation, trainer.batch_size)
    fit = best_fit(train, validation, trainer.objective, bias=layer.bias is not None)
    fit.write(layer)
    return ConvergedHead(
        validation=trainer.evaluate(data.validation),
        test=None if job.trial is not None else trainer.evaluate(data.test, with_error=True),
        train_loss=fit.loss,
        samples=len(train.target),
        penalty=fit.penalty,
    )


def _trained(network: Network, job: Job, data: DataSet) -> ConvergedHead:
    """Train the model's own head by steps, with the layers below it in evaluation mode."""
    untie(network)
    network.detach()
    model = network.model
    start = {name: tensor.clone() for name, tensor in tensors_of(model).items()}
    whole = BUDGET * budget_of(job, data).steps
    every = max(1, whole // EVALUATIONS)

    def made(rate: float, steps: int) -> Trainer:
        load_tensors(model, start)
        model.eval()
        trainer = make_trainer(_job_of_head(job, rate, steps, every), model, data, "head-only", {})
        trainer.modes.frozen = list(model.modules())
        if left := tied(trainer.network):
            raise UserError(f"the head shares {left[0]!r} with a block, and has no module that could hold a copy")
        return trainer

    rate = min(RATES, key=lambda rate: _loss_after(made(rate, every)))
    trainer, best = made(rate, max(every, whole - len(RATES) * every)), BestWeights()
    trainer.observers += [best, Plateau(best)]
    trainer.train()
    row = best.restore(trainer)
    return ConvergedHead(
        validation=Score(row["validation_loss"], row[validation_column(trainer.objective.metric)]),
        test=None if job.trial is not None else trainer.evaluate(data.test, with_error=True),
        train_loss=row["train_loss"],
        samples=int(trainer.rows[-1]["samples"]),
        epochs=trainer.rows[-1]["epoch"],
        steps=trainer.total_steps,
    )


def _loss_after(trainer: Trainer) -> float:
    """The validation loss after the trainer's budget, or infinity if not finite. Detaches the trainer's rule."""
    try:
        trainer.train()
        loss = trainer.rows[-1]["validation_loss"]
    except LossNotFiniteError:
        loss = math.inf
    trainer.network.detach()
    return loss if math.isfinite(loss) else math.inf


def _job_of_head(job: Job, rate: float, steps: int, every: int) -> Job:
    """The job that trains the head for `steps` steps, with an evaluation every `every` steps."""
    return replace(
        job,
        epochs=None,
        steps=steps,
        evaluate_every=every,
        optimizer={"name": "adam", "lr": rate},
        schedule="constant",
        schedule_args=None,
        warmup=0,
        decay="all",
        groups=None,
        ema=None,
        compile=False,
    )


def untie(network: Network) -> None:
    """Give the modules above the last cut their own copy of a weight that a block also uses (a tied embedding)."""
    for name in tied(network):
        shared = network.model.get_parameter(name)
        for module in network.model.modules():
            for key, own in list(module._parameters.items()):
                if own is shared and not isinstance(module, nn.Embedding):
                    setattr(module, key, nn.Parameter(shared.detach().clone(), shared.requires_grad))


def tied(network: Network) -> list[str]:
    """The names of the weights that the head shares with a block."""
    below = set().union(*(names for segment, names in network.segments.items() if segment != HEAD))
    return sorted(network.segments[HEAD] & below)
