"""A model seen as blocks, with the hooks that let a learning rule take part in its passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.block import Block, Site, load_tensors, remove_stored, tensors_of
from grape_bench.network.layer_drop import stop_detour
from grape_bench.network.operators import CallSite, CallSites
from grape_bench.network.owned import OwnedModules
from grape_bench.network.passes import Pass, PassCounts
from grape_bench.network.preserve import Conditions, preserved, seeded
from grape_bench.network.progress import Progress
from grape_bench.network.reach import HEAD, Credit, Exact, Reach
from grape_bench.network.recompute import backward_at_work, refuse_reentrant
from grape_bench.network.refusal import require_classes, uninformed
from grape_bench.network.saved_state import SavedState
from grape_bench.network.streams import RandomStreams
from grape_bench.network.trace import Batch, Trace, as_batch, scored_output, scored_outputs
from grape_bench.network.trees import activations, replace
from grape_bench.streams import stream_seed

if TYPE_CHECKING:
    from grape_bench.network.rule import Kept, LearningRule

LossOf = Callable[[Any], Tensor]
"""Maps the model's output to a scalar loss."""


class Network:
    """A model with a rule that fills its gradients; `grape_bench.attach` makes it.

    While attached, a training forward (gradients enabled) is one pass of the rule, and an ordinary
    `loss.backward()` leaves the rule's update direction in `.grad`. Under `no_grad` nothing happens. Some rules need
    the loss as a function, or the target, before the backward: `step` gives them both.

    - `output_shape`: the error's shape per sample. It is the logits' shape. If a vocabulary is larger than the width,
      it is the shape of the features before the unembedding, unless the rule is `at_scores`.
    - `samples`: on which axis the samples of a batch lie.
    - `unembedding`: the module above these features, if the error is read there.
    - `sequences`: whether the number of tokens may change between batches.
    - `weights`: the parameters of the linear maps as (module, name); a tied one appears once for each of its modules.
    - `uncovered`: names of the other matrices that the backward reads -> the operator that reads them.
    - `segments`: each block's name, and `HEAD`, -> names of the parameters between it and the cuts below.
    - `streams`: the rule's random streams. `counts`: what the training really did.
    - `example`: the batch with which the rule was attached, with tensors that have shapes and no numbers.
    - `batch`: what the model is called with in the current forward, as (args, kwargs), or None outside of one.
    - `is_aside`: whether this forward is one that the rule makes on the side.
    - `owned`: the modules that belong to the rule.
    - `loss_scale`: by what factor the training multiplies its loss before the backward. A rule that computes gradients
      of a loss of its own multiplies them by it.
    """

    def __init__(self, model: nn.Module, rule: LearningRule, traced: Trace, blocks: list[Block], seed: int = 0) -> None:
        """Hook `rule` into `model`. If the rule's set-up fails, the model is left as it was."""
        self.model, self.rule = model, rule
        self.blocks = [block.of(self) for block in blocks]
        self.streams, self.counts, self.owned = RandomStreams(seed), PassCounts(), OwnedModules()
        self.example = traced.example
        self.batch: Batch | None = None
        self.loss_scale: float | Tensor = 1.0
        self._loss_of: LossOf | None = None
        self._target: Any = None
        self._conditions: Conditions | None = None
        self.is_aside = False
        self._head = model.get_submodule(traced.head)
        self.samples = traced.samples
        self._choose, self._scored = (0, (0,)) if traced.head else (traced.choose, traced.scored)
        self._view = traced.view if blocks else None
        width = None if rule.at_scores or self._view is None else self._view.unembedding_width(self._head)
        self.unembedding = self._head if width else None
        self.sequences = traced.sequences
        shape = self._view.shape if self._view is not None else traced.outputs[0][1:]
        self.output_shape = (*shape[:-1], width) if width else shape
        self._reach = Reach(model, traced, blocks)
        self.segments = self._reach.segments
        self.weights = [
            (module, name)
            for module in model.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if id(parameter) in traced.weights.parameters
        ]
        self._kept = SavedState(model)
        uncovered = traced.weights.uncovered
        self.uncovered = {n: uncovered[id(p)] for n, p in model.named_parameters() if id(p) in uncovered}
        self._derived: dict[CallSite, Tensor] | None = traced.weights.derived
        self._watched = dict.fromkeys(model.modules() if traced.weights.derived else ())
        self.call_sites = CallSites()
        self._cuts: dict[tuple[nn.Module, bool], list[tuple[Site, Block]]] = defaultdict(list)
        for block in self.blocks:
            for site in block.sites:
                self._cuts[site.module, site.entering].append((site, block))
        self._pass: Pass | None = None
        self._progress = Progress()
        self._hidden = self._reach.hidden(model, self.unembedding)
        self._context: AbstractContextManager[object] | None = None
        self._returning: tuple[int | None, Pass] = (None, Pass())  # the current backward, and how to repeat its pass

        torch.compiler.reset()  # code compiled before would run without the hooks
        self._handles = self._hooked(before_head=width is not None)
        try:
            if rule.targets == "classes":
                require_classes(type(rule).__name__, self.several, self.output_shape[-1])
            with seeded(self.model, stream_seed(seed, "rule")):
                rule.setup(self)
            self._derived = None
        except BaseException:
            self.detach()
            raise

    def _hooked(self, *, before_head: bool) -> list[Any]:
        """Register the hooks; with `before_head`, the error is read at the head's input."""
        entered = [module for module, entering in self._cuts if entering]
        returned = [module for module, entering in self._cuts if not entering]
        return [
            self.model.register_forward_pre_hook(self._open, with_kwargs=True),
            *(module.register_forward_pre_hook(self._entering, with_kwargs=True) for module in entered),
            *(module.register_forward_hook(self._returned) for module in returned),
            *(
                (
                    self._head.register_forward_pre_hook(self._at_features),
                    self._head.register_forward_hook(self._at_scores),
                )
                if before_head
                else (self._head.register_forward_hook(self._at_output),)
            ),
            self.model.register_forward_hook(self._close, always_call=True),
            *(handle for module in self._watched for handle in self.call_sites.watch(module)),
        ]

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

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer trains: the model's parameters, and those that the rule owns."""
        return [*self.model.parameters(), *self.owned.parameters()]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The same for an optimizer, with the settings that the rule asks for: `AdamW(net.parameter_groups())`."""
        return [{"params": list(self.model.parameters())}, *self.owned.groups()]

    def step(self, batch: Any, loss_of: LossOf, target: Any = None) -> Tensor:
        """Run the forward and backward of one training step and return the detached loss. The optimizer is yours.

        `loss_of` maps the model's output to a scalar. `batch` is what `attach` accepts as an example. Rules that need
        the loss as a function or the `target` of the batch (such as labels) find them in the network.
        """
        args, kwargs = as_batch(batch)
        with self.informed(loss_of, target):
            loss = loss_of(self.model(*args, **kwargs))
            loss.backward()
        return loss.detach()

    @contextmanager
    def informed(self, loss_of: LossOf, target: Any = None) -> Iterator[None]:
        """Let the rule know the loss and the target of the batch within this block."""
        outer = self._loss_of, self._target
        self._loss_of, self._target = loss_of, target
        try:
            yield
        finally:
            self._loss_of, self._target = outer

    @property
    def loss_of(self) -> LossOf:
        """Maps the model's output to the loss. Raises UserError outside of `step` and `informed`."""
        if self._loss_of is None:
            raise uninformed(type(self.rule).__name__, "loss as a function of the output")
        return self._loss_of

    @property
    def target(self) -> Any:
        """The target of the batch. Raises UserError outside of `step` and `informed`, and if none was given."""
        if self._target is None:
            raise uninformed(type(self.rule).__name__, "target of the batch")
        return self._target

    def feedback(self) -> dict[str, Kept]:
        """Name of a block (in the FA family: of a weight) -> how the rule keeps its feedback, if it has any."""
        return self.rule.kept_feedback(self)

    def begin_epoch(self, batches: int) -> None:
        """Tell the rule that an epoch of `batches` training steps begins. Anchored rules need this."""
        self.rule.begin_epoch(self, batches)

    def run(self, pass_: Pass, batch: Batch) -> Any:
        """Run a forward on `batch` in `pass_` instead of the rule's pass. Returns the model's output."""
        args, kwargs = batch
        outer = self._pass, self._progress, self.batch
        with self._passing(pass_, batch):
            output = self.model(*args, **kwargs)
        self._pass, self._progress, self.batch = outer
        return output

    def aside(self, pass_: Pass, batch: Batch) -> Any:
        """Run a forward on `batch` in `pass_` that leaves nothing behind. Returns the model's output.

        The model's buffers and other state and all random generators are restored. The forward draws the same dropout
        masks as the training forward, before it (in `open_pass`) and after it (in a second phase).
        """
        outer = self.is_aside, self._returning
        self.is_aside = True
        again = nullcontext() if self._conditions is None else self._conditions.repeated(self.model)
        try:
            with preserved(self.model), again:
                return self.run(pass_, batch)
        finally:
            self.is_aside, self._returning = outer

    @contextmanager
    def second_phase(self, conditions: Conditions) -> Iterator[None]:
        """Let the forwards `aside` within this block run under the `conditions` of the training forward."""
        outer, self._conditions = self._conditions, conditions
        try:
            yield
        finally:
            self._conditions = outer

    @contextmanager
    def _passing(self, pass_: Pass, batch: Batch) -> Iterator[None]:
        self._pass, self._progress, self.batch = pass_, Progress(self.samples.count_in(batch)), batch
        self.counts.forward += 1
        try:
            with pass_.around():
                yield
        finally:
            self._pass = self.batch = None

    @property
    def several(self) -> bool:
        """Whether the rule sees several outputs side by side as one."""
        return self._view is not None and len(self._view.arrangements) > 1

    @property
    def derived_weights(self) -> dict[CallSite, Tensor]:
        """The weights that modules compute from parameters, with their values at set-up."""
        if self._derived is None:
            raise RuntimeError("derived weights are only available in the rule's `setup`")
        return self._derived

    @property
    def bp_fraction(self) -> float:
        """Autograd passes through hidden blocks ÷ the passes of backpropagation. NaN before the first backward."""
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
        """The generator of one of the rule's random streams on `device`; it continues from its last draw."""
        return self.streams.generator(stream, device)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes, so that a run resumes to the bit.

        This is the model's tensors with the feedback, the other state of its modules, the rule's state, its random
        streams and the counts. The tensors are the live ones, not copies. Everything else is plain data, so
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

    # The hooks, in the order of a forward. The compiler is disabled, because it would freeze the first run's behavior.

    @torch.compiler.disable
    def _open(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._pass is not None or not torch.is_grad_enabled():
            return
        if module is not self.model:
            raise UserError(
                f"this {type(module).__name__} is a shallow copy or a replica of the model with the learning rule",
                hint="use copy.deepcopy instead of copy.copy, DistributedDataParallel instead of DataParallel",
            )
        self.owned.follow()
        pass_ = self.rule.open_pass(self, (args, kwargs)) if backward_at_work() is None else self._repeated()
        self._context = self._passing(pass_, (args, kwargs))
        self._context.__enter__()

    @torch.compiler.disable
    def _entering(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._cut_in((args, kwargs), module, entering=True)

    @torch.compiler.disable
    def _returned(self, module: nn.Module, _: Any, output: Any) -> Any:
        return self._cut_in(output, module, entering=False)

    def _cut_in(self, tree: Any, module: nn.Module, *, entering: bool) -> Any:
        """`tree`, which the module takes or returns, with the activations that are cut replaced."""
        turn = self._progress.next(module, entering)
        made = dict(enumerate(activations(tree)))
        for site, block in self._cuts[module, entering]:
            activation = made.get(site.index)
            if activation is not None and site.turn in (None, turn):
                tree = replace(tree, activation, self._seen(block, activation))
        return tree

    def _seen(self, block: Block, activation: Tensor) -> Tensor:
        """What the model sees instead of the block's activation (N, *shape)."""
        if self._pass is None:
            return self._repeated(block.name).cut(block, activation) if activation.requires_grad else activation
        self._progress.met.add(block.name)
        if not activation.requires_grad:
            refuse_reentrant(f"block {block.name!r}")
        if (known := self._progress.known(block, activation)) is not None:
            return known
        own = activation if block.axis == 0 else activation.movedim(block.axis, 0)
        seen = self._pass.cut(self._progress.at_call(block), own)
        if seen.requires_grad:
            seen.register_hook(self._count_hidden)
        seen = seen if block.axis == 0 else seen.movedim(0, block.axis)
        self._progress.note(block, activation, seen)
        return seen

    def _repeated(self, block: str = "") -> Pass:
        """The pass of a forward that activation checkpointing repeats within the current backward."""
        backward, pass_ = self._returning
        if backward_at_work() is None:
            raise UserError(
                f"block {block!r} was called without its model, so the learning rule has no pass for it",
                hint="call the whole model, or make a deep copy of it and detach the rule from the copy",
            )
        if backward != backward_at_work():
            raise UserError(
                "activation checkpointing recomputes the model before the error has reached its output",
                hint="compute the loss outside of the checkpointed function",
            )
        return pass_

    @torch.compiler.disable
    def _at_features(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._joined([args[0]])[0], *args[1:])

    @torch.compiler.disable
    def _at_scores(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Count a backward at the scores if the features are constant, as under head-only: none reaches them."""
        scores = scored_output(output)
        if self._pass is not None and scores is not None and scores.requires_grad and not args[0].requires_grad:
            scores.register_hook(self._at_backward(0, False))

    @torch.compiler.disable
    def _at_output(self, module: nn.Module, _: Any, output: Any) -> Any:
        if self._pass is None:
            return output
        if isinstance(output, dict) and output.get("loss") is not None:
            raise UserError(
                f"{type(module).__name__} computes its loss before the rule can see the output",
                hint="call the model without labels and compute the loss from its logits",
            )
        found = scored_outputs(output, self._choose)
        scored = [found[index] for index in self._scored if index < len(found)]
        for before, after in zip(scored, self._joined(scored), strict=True):
            output = replace(output, before, after)
        return output

    def _joined(self, outputs: list[Tensor]) -> list[Tensor]:
        """What the loss sees instead of the model's outputs. The rule sees them as (N, positions..., n_out)."""
        if self._pass is None or not outputs:
            return outputs
        count = self._progress.samples
        logits = outputs[0] if self._view is None else self._view.seen(outputs, count)
        absent = len(self.blocks) - len(self._progress.met)
        detour = bool(absent and self._pass.cuts and stop_detour(logits, self._hidden))
        joined = self._pass.join(logits)
        if joined.requires_grad:
            joined.register_hook(self._at_backward(absent, detour))
        if self._view is None:
            return [joined, *outputs[1:]]
        return self._view.returned(joined, outputs, count)

    @torch.compiler.disable
    def _close(self, *_: Any) -> None:
        if self._context is not None:
            context, self._context = self._context, None
            context.__exit__(None, None, None)

    def _count_hidden(self, _: Tensor) -> None:
        self.counts.hidden += 1

    def _at_backward(self, absent: int, detour: bool) -> Callable[[Tensor], None]:
        """What happens when the error of the current forward arrives at its output."""
        assert self._pass is not None, "called within a forward"
        again, aside = self._pass.again(), self.is_aside

        def begin(_: Tensor) -> None:
            self.counts.backward += 1
            if not aside:
                self.counts.steps += 1
                self.counts.absent += absent
                self.counts.detours += detour
            self._returning = backward_at_work(), again

        return begin
