"""A model seen as blocks, with the hooks that let a learning rule take part in its passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.block import Block, load_tensors, remove_stored, tensors_of
from grape_bench.network.hooks import hook
from grape_bench.network.operators import CallSite
from grape_bench.network.owned import OwnedModules
from grape_bench.network.passes import Pass, PassCounts
from grape_bench.network.preserve import seeded
from grape_bench.network.reach import HEAD, Credit, Exact, Reach
from grape_bench.network.refusal import require_classes, uninformed
from grape_bench.network.saved_state import SavedState
from grape_bench.network.seam import Seam
from grape_bench.network.streams import RandomStreams
from grape_bench.network.summary import html, text
from grape_bench.network.trace import Batch, Trace, as_batch
from grape_bench.streams import stream_seed

if TYPE_CHECKING:
    from grape_bench.network.rule import Kept, LearningRule

LossOf = Callable[[Any], Tensor]
"""Maps the model's output to a scalar loss."""


class Network(Seam):
    """A model with a rule that computes its gradients. `grape_bench.attach` makes it.

    While attached, each training forward (gradients enabled, also in evaluation mode) is one pass of the rule, and an
    ordinary `loss.backward()` leaves the rule's update direction in `.grad`. Under `no_grad` the model is unchanged.
    Some rules need the loss as a function, or the target, before the backward. `step` passes both to them.

    - `sequences`: whether the number of tokens may change between batches.
    - `weights`: the parameters of the linear maps as (module, name). A tied one appears once for each of its modules.
    - `uncovered`: names of the other matrices that the backward reads -> the operator that reads them.
    - `segments`: each block's name, and `HEAD`, -> names of the parameters between it and the cuts below.
    - `streams`: the rule's random streams.
    - `example`: the batch with which the rule was attached, as tensors without data (meta).
    - `attention`: whether the model calls `scaled_dot_product_attention`.
    - `layers_only`: whether all its linear maps are linear layers or convolutions whose weights are parameters.
    - `owned`: the modules that belong to the rule.
    - `loss_scale`: the factor by which the training loop multiplies its loss before the backward. A rule that computes
      gradients of its own loss multiplies them by this factor.
    - `planned_steps`: the number of steps of the whole training, if the training loop has set it.
    - `advances`: whether a pass that the rule opens is a training step. It is False when diagnostics open one. Then the
      rule uses its current state: no refresh, no anchor, no counting.
    """

    def __init__(self, model: nn.Module, rule: LearningRule, traced: Trace, blocks: list[Block], seed: int = 0) -> None:
        """Hook `rule` into `model`. If the rule's setup fails, the model is left unchanged."""
        super().__init__(model, traced, [block.of(self) for block in blocks], at_scores=rule.at_scores)
        self.rule, self.streams, self.owned = rule, RandomStreams(seed), OwnedModules()
        self.example, self.sequences = traced.example, traced.sequences
        self.loss_scale: float | Tensor = 1.0
        self.planned_steps: int | None = None
        self.advances = True
        self._loss_of: LossOf | None = None
        self._target: Any = None
        self._reach = Reach(model, traced, blocks)
        self.segments = self._reach.segments
        self._hidden = self._reach.hidden(model, self.unembedding)
        self.weights = [
            (module, name)
            for module in model.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if id(parameter) in traced.weights.parameters
        ]
        self._kept = SavedState(model)
        self.attention, self.layers_only = traced.weights.attention, traced.weights.layers_only
        uncovered = traced.weights.uncovered
        self.uncovered = {n: uncovered[id(p)] for n, p in model.named_parameters() if id(p) in uncovered}
        self._derived: dict[CallSite, Tensor] | None = traced.weights.derived
        try:
            if rule.targets == "classes":
                require_classes(type(rule).__name__, self.several, self.output_shape[-1])
            with seeded(model, stream_seed(seed, "rule")):
                rule.setup(self)
            self._derived = None
            self._handles += [
                module.register_forward_pre_hook(self._refuse_uncalled)
                for module in model.modules()
                if module not in traced.modules and next(module.parameters(recurse=False), None) is not None
            ]
        except BaseException:
            self.detach()
            raise

    @hook
    def _refuse_uncalled(self, module: nn.Module, _: Any) -> None:
        """Runs before a layer that the example did not call. No cut covers it, so it would get BP's gradient."""
        trainable = any(parameter.requires_grad for parameter in module.parameters(recurse=False))
        if self._pass is not None and trainable and set(self.rule.credit(self).values()) != {"exact"}:
            name = next(name for name, other in self.model.named_modules() if other is module)
            raise UserError(
                f"{name!r} was not called with the example, so the rule does not know it",
                hint="attach with an example that calls every layer that training calls",
            )

    def detach(self) -> None:
        """Remove the rule, with all of its hooks and buffers on the model."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        remove_stored(self.model)

    def report(self) -> dict[str, Credit]:
        """What each parameter gets: the rule's gradient, the exact gradient, or none ("frozen")."""
        trained = self.rule.credit(self)
        found: dict[str, Credit] = {
            name: trained[name] if parameter.requires_grad and name in trained else "frozen"
            for name, parameter in self.model.named_parameters()
        }
        return found | {name: "owned" for name, _ in self.owned.named_parameters()}

    def summary(self) -> str:
        """The blocks and what their parameters get, as a table to print. `report` has every parameter."""
        return text(self)

    def _repr_html_(self) -> str:
        """`summary` as HTML, for notebooks."""
        return html(self)

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters to optimize: the model's, and those that the rule owns."""
        yield from self.model.parameters()
        yield from self.owned.parameters()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The same as optimizer groups, with the settings that the rule asks for: `AdamW(net.parameter_groups())`."""
        return [{"params": list(self.model.parameters())}, *self.owned.groups()]

    def step(self, batch: Any, loss_of: LossOf, target: Any = None) -> Tensor:
        """Run the forward and backward of one training step and return the detached loss. You call the optimizer.

        `loss_of` maps the model's output to a scalar. `batch` is anything that `attach` accepts as an example. Rules
        that need the loss as a function or the `target` of the batch (such as labels) get them from here.
        """
        args, kwargs = as_batch(batch)
        with self.informed(loss_of, target):
            loss = loss_of(self.model(*args, **kwargs))
            loss.backward()
        return loss.detach()

    @contextmanager
    def informed(self, loss_of: LossOf, target: Any = None) -> Iterator[None]:
        """Give the rule the loss and the target of the batch inside this block."""
        outer = self._loss_of, self._target
        self.inform(loss_of, target)
        try:
            yield
        finally:
            self.inform(*outer)

    def inform(self, loss_of: LossOf | None, target: Any = None) -> None:
        """Give the rule the loss and the target of the next batch, until the next call."""
        self._loss_of, self._target = loss_of, target

    @property
    def loss_of(self) -> LossOf:
        """The function from the model's output to the loss. Raises UserError outside `step` and `informed`."""
        if self._loss_of is None:
            raise uninformed(type(self.rule).__name__, "loss as a function of the output")
        return self._loss_of

    @property
    def target(self) -> Any:
        """The target of the batch. Raises UserError outside `step` and `informed`, or if none was given."""
        if self._target is None:
            raise uninformed(type(self.rule).__name__, "target of the batch")
        return self._target

    def feedback(self) -> dict[str, Kept]:
        """Name of a block (in the FA family: of a weight) -> how the rule stores its feedback, if it has any."""
        return self.rule.kept_feedback(self)

    def open_pass(self, batch: Batch) -> Pass:
        """The rule's pass for a training forward on `batch`."""
        self.owned.follow()
        return self.rule.open_pass(self, batch)

    def begin_epoch(self, batches: int) -> None:
        """Announce an epoch of `batches` training steps to the rule. Anchored rules need this."""
        self.rule.begin_epoch(self, batches)

    @property
    def derived_weights(self) -> dict[CallSite, Tensor]:
        """The weights that modules compute from parameters, with their values at setup."""
        if self._derived is None:
            raise RuntimeError("derived weights are only available in the rule's `setup`")
        return self._derived

    @property
    def bp_fraction(self) -> float:
        """Autograd passes through hidden blocks ÷ those of backpropagation. NaN before the first backward."""
        possible = self.counts.steps * len(self.blocks) - self.counts.absent
        return self.counts.hidden / possible if possible else float("nan")

    @property
    def device(self) -> torch.device:
        """The device of the model's first parameter."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the model's first parameter."""
        return next(self.model.parameters()).dtype

    def generator(self, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
        """The generator of one of the rule's random streams on `device`. It continues after its last draw."""
        return self.streams.generator(stream, device)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes, so that a run resumes bit for bit.

        It holds the model's tensors including the feedback, the other state of its modules, and the rule's state,
        random streams and counts. The tensors are the live ones, not copies. Everything else is plain data, so
        `torch.load(weights_only=True)` can read it. Raises UnsavedStateError if a module's state cannot be saved.
        """
        return {
            "model": tensors_of(self.model),
            "owned": self.owned.state(),
            "kept": self._kept.state(),
            "rule": self.rule.state(),
            "seed": self.streams.seed,
            "streams": self.streams.positions(),
            "counts": asdict(self.counts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of the same model with the same rule. Raises KeyError for another model."""
        load_tensors(self.model, state["model"])
        self.owned.load(state["owned"])
        self._kept.load(state["kept"])
        self.rule.load_state(state["rule"])
        self.streams.restore(state["seed"], state["streams"])
        self.counts = PassCounts(**state["counts"])

    def credit(self, hidden: Credit, exact: Exact) -> dict[str, Credit]:
        """Name of each parameter that the loss depends on -> "exact" for those at the output, else `hidden`.

        A parameter in both places (tied embeddings) is the rule's if the hidden part of its gradient is not exact.
        """
        return self._reach.credit(hidden, exact)

    def hidden_parameters(self) -> list[nn.Parameter]:
        """The trainable parameters below the last cut."""
        names = set().union(*(names for block, names in self.segments.items() if block != HEAD))
        return [p for name, p in self.model.named_parameters() if name in names and p.requires_grad]

    def shared_parameters(self) -> list[Tensor]:
        """The parameters that get gradients from several blocks, or from a block and the head."""
        return [self.model.get_parameter(name) for name in self._reach.shared]
