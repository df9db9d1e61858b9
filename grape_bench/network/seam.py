"""Connects a model's forwards to the passes of a rule: hooks at the cuts, at the output and around the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Variable
from torch.autograd.graph import get_gradient_edge

from grape_bench.errors import UserError
from grape_bench.network.axes import moved
from grape_bench.network.block import Block, Site
from grape_bench.network.hooks import hook, leaves_graph_alone, runs_in_this_backward, watch_gradient
from grape_bench.network.layer_drop import stop_detour
from grape_bench.network.operators import CallSites
from grape_bench.network.passes import Pass, PassCounts
from grape_bench.network.preserve import Conditions, preserved
from grape_bench.network.progress import Progress
from grape_bench.network.recompute import backward_at_work, refuse_reentrant
from grape_bench.network.trace import Batch, Trace, scored_output, scored_outputs
from grape_bench.network.trees import activations, replace


class Seam:
    """A model with hooks that run each training forward in a pass of the rule. `Network` adds the rule.

    - `blocks`: the parts between the cuts. `samples`: the sample axis of a batch.
    - `output_shape`: the error's shape per sample. Usually this is the logits' shape. If the vocabulary is larger than
      the width, it is the shape of the features before the unembedding, unless the rule reads the error `at_scores`.
    - `unembedding`: the module above these features, if the error is read there.
    - `batch`: the model's arguments in the current forward, as (args, kwargs), or None outside a forward.
    - `is_aside`: whether this forward is one that the rule runs on the side.
    - `counts`: what training actually did.
    """

    def __init__(self, model: nn.Module, traced: Trace, blocks: Sequence[Block], *, at_scores: bool) -> None:
        self.model, self.counts, self.samples = model, PassCounts(), traced.samples
        self.batch: Batch | None = None
        self.is_aside = False
        self._head = model.get_submodule(traced.head)
        self._choose, self._scored = (0, (0,)) if traced.head else (traced.choose, traced.scored)
        self._only = self._scored == (0,) and self._choose in (None, 0)  # a plain tensor is the output itself
        self._view = traced.view if blocks else None
        self._as_is = self._view is None or self._view.as_is
        width = None if at_scores or self._view is None else self._view.unembedding_width(self._head)
        self.unembedding = self._head if width else None
        shape = self._view.shape if self._view is not None else traced.outputs[0][1:]
        self.output_shape = (*shape[:-1], width) if width else shape
        self._hidden: list[Tensor] = []  # parameters below the cuts, which no gradient may reach by a bypass
        self._conditions: Conditions | None = None
        self._pass: Pass | None = None
        self._progress = Progress(False)
        self._context: AbstractContextManager[object] | None = None
        self._returning: tuple[int | None, Pass] = (None, Pass())  # the current backward, and how to repeat its pass
        self.call_sites = CallSites()
        self._watched = dict.fromkeys(model.modules() if traced.weights.derived else ())

        self._cuts: dict[tuple[nn.Module, bool], list[tuple[Site, Block]]] = defaultdict(list)
        self.blocks = list(blocks)
        for block in blocks:
            for site in block.sites:
                self._cuts[site.module, site.entering].append((site, block))
        self._plain = dict(filter(None, map(_plain_cut, self._cuts.items())))
        torch.compiler.reset()  # code compiled earlier would run without the hooks
        self._handles = self._hooked(before_head=width is not None)

    def open_pass(self, batch: Batch) -> Pass:
        """The rule's pass for a training forward on `batch`."""
        raise NotImplementedError

    def _hooked(self, *, before_head: bool) -> list[Any]:
        """Register the hooks. With `before_head`, the error is read at the head's input."""
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

    @property
    def several(self) -> bool:
        """Whether the rule sees several outputs side by side as one."""
        return self._view is not None and len(self._view.arrangements) > 1

    def run(self, pass_: Pass, batch: Batch) -> Any:
        """Run a forward on `batch` in `pass_` instead of the rule's pass. Returns the model's output."""
        args, kwargs = batch
        outer = self._pass, self._progress, self.batch
        with self._passing(pass_, batch):
            output = self.model(*args, **kwargs)
        self._pass, self._progress, self.batch = outer
        return output

    def aside(self, pass_: Pass, batch: Batch) -> Any:
        """Run a forward on `batch` in `pass_` without side effects. Returns the model's output.

        The model's buffers, its other state and all random generators are restored. The forward draws the same dropout
        masks as the training forward, whether it runs before it (in `open_pass`) or after it (in a second phase).
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
    def repeating(self, conditions: Conditions) -> Iterator[None]:
        """Make forwards run with `aside` in this block repeat the `conditions` of the training forward."""
        outer, self._conditions = self._conditions, conditions
        try:
            yield
        finally:
            self._conditions = outer

    @contextmanager
    def _passing(self, pass_: Pass, batch: Batch) -> Iterator[None]:
        with pass_.around():
            self._begin(pass_, batch)
            try:
                yield
            finally:
                self._end()

    def _begin(self, pass_: Pass, batch: Batch) -> None:
        self._pass, self._progress, self.batch = pass_, Progress(leaves_graph_alone(pass_)), batch
        self.counts.forward += 1

    def _end(self) -> None:
        self._pass = self.batch = None
        self._progress.let_go()

    # The hooks, in the order of a forward.

    @hook
    def _open(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._pass is not None or not torch.is_grad_enabled():
            return
        if module is not self.model:
            raise UserError(
                f"this {type(module).__name__} is a shallow copy or a replica of the model with the learning rule",
                hint="use copy.deepcopy instead of copy.copy, DistributedDataParallel instead of DataParallel",
            )
        pass_ = self.open_pass((args, kwargs)) if backward_at_work() is None else self._repeated()
        context = pass_.around()
        context.__enter__()
        self._begin(pass_, (args, kwargs))
        self._context = context

    @hook
    def _entering(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._cut_in((args, kwargs), module, entering=True)

    @hook
    def _returned(self, module: nn.Module, _: Any, output: Any) -> Any:
        if isinstance(output, Tensor) and (block := self._plain.get(module)):
            return self._seen(block, output) if output.is_floating_point() else output
        return self._cut_in(output, module, entering=False)

    def _cut_in(self, tree: Any, module: nn.Module, *, entering: bool) -> Any:
        """Return `tree`, an input or output of the module, with the cut activations replaced."""
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
        if len(block.sites) > 1 and (known := self._progress.known(block, activation)) is not None:
            return known
        own = moved(activation, block.axis, 0)
        seen = self._pass.cut(self._progress.at_call(block), own)
        if seen.requires_grad:
            if self._progress.counts_at_once:
                self._progress.crossed.append(seen.grad_fn or get_gradient_edge(seen).node)
            else:  # the pass may run its own backward
                watch_gradient(seen, self._count_hidden)
        seen = moved(seen, 0, block.axis)
        self._progress.note(block, activation, seen)
        return seen

    def _repeated(self, block: str = "") -> Pass:
        """The pass of a forward that activation checkpointing repeats inside the current backward."""
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

    @hook
    def _at_features(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._joined([args[0]])[0], *args[1:])

    @hook
    def _at_scores(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Count a backward at the scores if the features are constant, as in head-only, because none reaches them."""
        scores = scored_output(output)
        if self._pass is not None and scores is not None and scores.requires_grad and not args[0].requires_grad:
            watch_gradient(scores, self._at_backward(0, False))

    @hook
    def _at_output(self, module: nn.Module, _: Any, output: Any) -> Any:
        if self._pass is None:
            return output
        if isinstance(output, dict) and output.get("loss") is not None:
            raise UserError(
                f"{type(module).__name__} computes its loss before the rule can see the output",
                hint="call the model without labels and compute the loss from its logits",
            )
        if self._only and self._as_is and isinstance(output, Tensor) and output.is_floating_point():
            return self._join(output)
        found = scored_outputs(output, self._choose)
        scored = [found[index] for index in self._scored if index < len(found)]
        for before, after in zip(scored, self._joined(scored), strict=True):
            output = replace(output, before, after)
        return output

    def _joined(self, outputs: list[Tensor]) -> list[Tensor]:
        """What the loss sees instead of the model's outputs. The rule sees them as (N, positions..., n_out)."""
        if self._pass is None or not outputs:
            return outputs
        if self._view is None or self._as_is:
            return [self._join(outputs[0]), *outputs[1:]]
        count = self.samples.count_in(self.batch)
        return self._view.returned(self._join(self._view.seen(outputs, count)), outputs, count)

    def _join(self, logits: Tensor) -> Tensor:
        """What the loss sees instead of the output (N, positions..., n_out)."""
        assert self._pass is not None, "called within a forward"
        absent = len(self.blocks) - len(self._progress.met)
        detour = bool(absent and self._pass.cuts and stop_detour(logits, self._hidden))
        joined = self._pass.join(logits)
        if joined.requires_grad:
            watch_gradient(joined, self._at_backward(absent, detour))
        return joined

    @hook
    def _close(self, *_: Any) -> None:
        if self._context is not None:
            context, self._context = self._context, None
            self._end()
            context.__exit__(None, None, None)

    def _count_hidden(self, _: Tensor) -> None:
        self.counts.hidden += 1

    def _at_backward(self, absent: int, detour: bool) -> Callable[[Tensor], None]:
        """The hook that runs when the error of the current forward arrives at its output."""
        assert self._pass is not None, "called within a forward"
        again, aside, crossed = self._pass.again(), self.is_aside, self._progress.crossed

        def begin(_: Tensor) -> None:
            counts = self.counts
            counts.backward += 1
            counts.hidden += sum(map(runs_in_this_backward, crossed))
            if not aside:
                counts.steps += 1
                counts.absent += absent
                counts.detours += detour
            self._returning = backward_at_work(), again
            Variable._execution_engine.queue_callback(self._end_backward)

        return begin

    def _end_backward(self) -> None:
        self._returning = None, Pass()  # the pass may hold activations


def _plain_cut(cut: tuple[tuple[nn.Module, bool], list[tuple[Site, Block]]]) -> tuple[nn.Module, Block] | None:
    """(module, block) if the module's output is the block's activation in every call, and has no other cut."""
    (module, entering), ((site, block), *others) = cut
    return None if entering or others or site.index or site.turn is not None else (module, block)
