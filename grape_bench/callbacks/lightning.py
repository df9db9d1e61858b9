"""Callbacks for Lightning's Trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from grape_bench.callbacks.training import Length, networks, only_network, require_trained, restore, states
from grape_bench.diagnose.alignment import Example, alignment
from grape_bench.errors import UserError

KEY = "grape_bench"
"""The key of the rules' state in a checkpoint."""


class RuleCallback(Callback):
    """Tells the rule when epochs begin and how long training is, and saves its state in every checkpoint.

        Trainer(callbacks=[RuleCallback()]).fit(module, loader, ckpt_path="last")

    The rule is attached to the LightningModule or to a module in it. Several processes resume with the random streams
    of process 0.

    When training begins, raises UserError if nothing is attached, if the optimizers leave out parameters that the rule
    owns, or if the checkpoint has no state of this rule.
    """

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that there is a rule, and that the optimizers train all of it."""
        require_trained(networks(pl_module), trainer.optimizers)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the rules how long training is."""
        for network in networks(pl_module):
            network.planned_steps = _length(trainer, pl_module).planned

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Announce an epoch to the rules. An epoch that is resumed in the middle has no batch 0."""
        # A checkpoint may be written right after an epoch's last step. Lightning then resumes with the next epoch, but
        # does not call `on_train_epoch_start` for it.
        if batch_idx == 0:
            _length(trainer, pl_module).begin_epoch(networks(pl_module), trainer.global_step)

    @override
    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Pass the loss factor to the rules: the share of accumulated gradients, times the loss scale."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        for network in networks(pl_module):
            network.loss_scale = (scaler.get_scale() if scaler else 1.0) / trainer.accumulate_grad_batches

    @override
    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the loss factor. Backwards on the side, such as those of `AlignmentCallback`, do not scale the loss."""
        for network in networks(pl_module):
            network.loss_scale = 1.0

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the rules' state. Tensors that are also in `state_dict` take space in the file only once."""
        checkpoint[KEY] = states(networks(pl_module))

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resume the rules of a training. The model already has its weights."""
        if trainer.state.fn != "fit":
            return
        if KEY not in checkpoint:
            raise UserError(
                "the checkpoint has no state of the rule",
                allowed="checkpoints written with this callback",
                hint="LightningModule.load_from_checkpoint, to start a new training from the weights",
            )
        restore(networks(pl_module), checkpoint[KEY])


class AlignmentCallback(Callback):
    """Logs the alignment of the rule's signal with backpropagation's, by block, at the end of every `every`-th epoch.

        Trainer(callbacks=[RuleCallback(), AlignmentCallback(batches, loss)])

    See `grape_bench.alignment` for `batches` and `loss`. The training does not change. The names are `alignment/BLOCK`.
    A block whose signal is zero is left out.
    """

    def __init__(self, batches: Iterable[Example], loss: Callable[[Any, Any], Tensor], every: int = 1) -> None:
        self.batches, self.loss, self.every = list(batches), loss, every

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log, if this epoch is due."""
        if (trainer.current_epoch + 1) % self.every == 0:
            found = alignment(only_network(pl_module), self.batches, self.loss)
            pl_module.log_dict({f"alignment/{block}": v for block, v in found.items() if math.isfinite(v)})


def _length(trainer: Trainer, module: LightningModule) -> Length:
    """The length of the training. Under manual optimization, Lightning does not know the number of updates."""
    updates = trainer.estimated_stepping_batches if module.automatic_optimization else math.inf
    known = updates if updates >= 0 else math.inf  # Lightning uses -1 for no limit
    return Length(trainer.num_training_batches, trainer.accumulate_grad_batches, known)
