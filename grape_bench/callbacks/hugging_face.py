"""Callbacks for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length
from typing_extensions import override

from grape_bench.callbacks.training import Length, networks, only_network, require_trained, restore, states
from grape_bench.diagnose.alignment import Example, alignment
from grape_bench.errors import UserError
from grape_bench.network.block import PREFIX
from grape_bench.network.network import Network


class RuleCallback(TrainerCallback):
    """Tells the rule when epochs begin and how long training is, and saves its state in every checkpoint.

        Trainer(model, arguments, train_dataset=data, callbacks=[RuleCallback()]).train(resume_from_checkpoint=True)

    The state is the file `rule_0.pt` in the checkpoint's folder, one file per process. A resume reads it from
    `output_dir`. If the checkpoint is elsewhere, also name its folder in
    `TrainingArguments(resume_from_checkpoint=...)`.

    When training begins, raises UserError if the model has no rule, if the optimizer leaves out parameters that the
    rule owns, or if a checkpoint has no state of this rule.
    """

    def __init__(self) -> None:
        self._networks: list[Network] = []
        self._length = Length(math.inf)
        self._in_epoch = False  # whether the resumed training is in the middle of an epoch

    @override
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Find the networks, and resume their rules from the checkpoint."""
        loader, accumulate = kwargs["train_dataloader"], args.gradient_accumulation_steps
        per_epoch = len(loader) if has_length(loader) else math.inf
        self._length = Length(per_epoch, accumulate, state.max_steps)
        self._networks = networks(kwargs["model"])
        require_trained(self._networks, [kwargs["optimizer"]])
        for network in self._networks:
            network.planned_steps = self._length.planned
        if state.global_step:
            self._resume(args, state)
        mid_epoch = bool(state.global_step % self._length.updates_per_epoch)
        self._in_epoch = mid_epoch and not args.ignore_data_skip  # without the skip, the epoch starts from scratch

    @override
    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Announce the epoch to the rules, unless it began before the checkpoint."""
        if not self._in_epoch:
            self._length.begin_epoch(self._networks, state.global_step)
        self._in_epoch = False

    @override
    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Pass the loss factor to the rules: the share of accumulated gradients, times the loss scale."""
        scaler = getattr(kwargs["optimizer"], "scaler", None)
        for network in self._networks:
            network.loss_scale = (scaler.get_scale() if scaler else 1.0) / self._length.accumulated(state.global_step)

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Clear the gradients of the rules' own parameters, because the Trainer clears only those of the model."""
        for network in self._networks:
            network.loss_scale = 1.0  # for backwards on the side, which do not scale the loss
            for parameter in network.owned.parameters():
                parameter.grad = None

    @override
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the rules' state into the checkpoint's folder. Trials of a search are not saved."""
        if not state.is_hyper_param_search:
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            saved = {"networks": _beside_the_model(self._networks), "model": _mark(kwargs["model"])}
            torch.save(saved, folder / _file(args))

    def _resume(self, args: TrainingArguments, state: TrainerState) -> None:
        folder = args.resume_from_checkpoint or Path(args.output_dir, f"checkpoint-{state.global_step}")
        path = Path(folder, _file(args))
        elsewhere = "TrainingArguments(resume_from_checkpoint=FOLDER) if the checkpoint is in another folder"
        if not path.is_file():
            raise UserError(
                "the checkpoint has no state of the rule",
                where=str(path),
                allowed="checkpoints written with this callback",
                hint=elsewhere,
            )
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if not torch.equal(saved["model"], _mark(self._networks[0].model)):
            raise UserError(
                "this is the rule of another checkpoint than the one with the weights", where=str(path), hint=elsewhere
            )
        restore(self._networks, saved["networks"])


class AlignmentCallback(TrainerCallback):
    """Logs the alignment of the rule's signal with backpropagation's, by block, at the end of every `every`-th epoch.

        trainer.add_callback(AlignmentCallback(trainer.log, batches, loss))

    See `grape_bench.alignment` for `batches` and `loss`. The training does not change. The names are `alignment/BLOCK`.
    A block whose signal is zero is left out.
    """

    def __init__(
        self,
        log: Callable[[dict[str, float]], None],
        batches: Iterable[Example],
        loss: Callable[[Any, Any], Tensor],
        every: int = 1,
    ) -> None:
        self.log, self.batches, self.loss, self.every = log, list(batches), loss, every

    @override
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure and log, if this epoch is due."""
        if round(state.epoch) % self.every:
            return
        kwargs["model"].train()  # as in every step of the Trainer, because an evaluation may have come last
        found = alignment(only_network(kwargs["model"]), self.batches, self.loss)
        due = control.should_log
        self.log({f"alignment/{block}": value for block, value in found.items() if math.isfinite(value)})
        control.should_log = due  # the Trainer's own log line of this epoch


def _file(args: TrainingArguments) -> str:
    return f"rule_{args.process_index}.pt"


def _beside_the_model(found: list[Network]) -> list[dict[str, Any]]:
    """The networks' states without the tensors that the Trainer saves with the model."""
    saved = states(found)
    for network, state in zip(found, saved, strict=True):
        elsewhere = network.model.state_dict().keys()
        state["model"] = {name: t for name, t in state["model"].items() if PREFIX in name or name not in elsewhere}
    return saved


def _mark(model: nn.Module) -> Tensor:
    """The first number of each parameter. It is equal in two files of one checkpoint, on any device."""
    return torch.stack([p.detach().flatten()[0].double().cpu() for p in model.parameters() if p.numel()])
