"""How long training lasts, and when it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """A training of `steps` optimizer steps, in epochs of `batches` mini-batches.

    A step accumulates the gradients of `accumulate` mini-batches. The last step of an epoch takes the remaining ones,
    so that no step spans two epochs. The validation split is scored every `evaluate_every` steps, or after every epoch,
    and always at the end. With `in_steps`, the rows of the learning curve have a column `step`.
    """

    steps: int
    batches: int
    accumulate: int = 1
    evaluate_every: int | None = None
    in_steps: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch."""
        return -(-self.batches // self.accumulate)

    @property
    def epochs(self) -> float:
        """The number of epochs of the whole training, a fraction if the last one is incomplete."""
        return self.batches_in(self.steps) / self.batches

    def batches_in(self, steps: int) -> int:
        """The number of mini-batches in the first `steps` steps."""
        epochs, rest = divmod(steps, self.steps_per_epoch)
        return epochs * self.batches + min(rest * self.accumulate, self.batches)

    def batches_of_epoch(self, epoch: int) -> int:
        """The number of mini-batches in an epoch, counted from 0. The last epoch may be shorter."""
        begin = epoch * self.steps_per_epoch
        return self.batches_in(min(begin + self.steps_per_epoch, self.steps)) - self.batches_in(begin)

    def evaluates_after(self, step: int) -> bool:
        """Whether the validation split is scored after this step, counted from 1."""
        return step == self.steps or step % (self.evaluate_every or self.steps_per_epoch) == 0
