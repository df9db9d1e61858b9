"""Choose how the feedback of each block is stored, by size or by name, and draw it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.rules.feedback import FEEDBACK, FeedbackMap, Seeded, Slice, Stored
from grape_bench.rules.layout import SKETCH, Dense, Layout, LowRank, PerChannel, PerToken

if TYPE_CHECKING:
    from grape_bench.network.network import Network

FeedbackKind = Literal["auto", "dense", "per-channel", "per-token", "slice", "low-rank", "seeded"]

DENSE_LIMIT = 2**20
"""A block's feedback may always have this many values (4 MiB in fp32), even in a small network."""


@dataclass(frozen=True)
class FeedbackChoice:
    """How a block's feedback is stored: its layout, the name of its `kind`, and the rank (0 for full rank)."""

    layout: Layout
    kind: str
    rank: int = 0


@dataclass(frozen=True)
class Chooser:
    """Chooses how feedback is stored for blocks of any shape. `output_shape` is the error's shape per sample.

    `limit` is the largest number of values in the feedback of one block. `blocks` is the number of blocks. If sequences
    have `varying` lengths, feedback cannot depend on the position.
    """

    output_shape: tuple[int, ...]
    limit: int
    blocks: int = 1
    varying: bool = False

    def choose(self, kind: FeedbackKind, shape: tuple[int, ...], channel: int) -> FeedbackChoice:
        """Choose for a block of `shape` with channels on its axis `channel`. Raises UserError if `kind` does not fit.

        `"auto"` is per-token if the block and the error have the same tokens. Otherwise it takes the first that fits
        the limit: dense, then per-channel, then a low-rank matrix.
        """
        # Examples with limit 2**20 = 1,048,576 values:
        #   block (64, 32, 32), error (10,):  dense 10 x 65,536 = 655,360 fits -> dense
        #   block (64, 32, 32), error (100,): dense 6,553,600 is too large -> per channel: B (100, 64)
        if kind in ("dense", "per-channel", "per-token"):
            return FeedbackChoice(self._named(kind, shape, channel), kind)
        within: dict[str, Callable[[int], bool]] = {
            "slice": lambda numbers: numbers <= self.limit * self.blocks,  # one matrix for all blocks
            "seeded": lambda numbers: True,
        }
        layout = self._by_size(shape, channel, within.get(kind, self._fits))
        full = layout.outputs(self.output_shape) * layout.features
        if kind == "low-rank" or (kind == "auto" and not self._fits(full)):
            rank = self._rank(layout)
            return FeedbackChoice(layout, f"{_name(layout)}, rank {rank}", rank)
        return FeedbackChoice(layout, _name(layout) if kind == "auto" else f"{_name(layout)}, {kind}")

    def _fits(self, numbers: int) -> bool:
        return numbers <= self.limit

    def _by_size(self, shape: tuple[int, ...], channel: int, fits: Callable[[int], bool]) -> Layout:
        if len(self.output_shape) > 1:
            return self._named("per-token" if self._same_tokens(shape, channel) else "per-channel", shape, channel)
        dense = len(shape) == 1 or (not self.varying and fits(math.prod(shape) * math.prod(self.output_shape)))
        return self._named("dense" if dense else "per-channel", shape, channel)

    def _named(self, kind: str, shape: tuple[int, ...], channel: int) -> Layout:
        if kind == "dense":
            return Dense(math.prod(shape))
        if kind == "per-channel":
            return PerChannel(shape[channel], channel=channel + 1)
        if not self._same_tokens(shape, channel):
            raise UserError(
                f"no per-token feedback from an error of shape {self.output_shape} to a block of shape {shape}",
                allowed="blocks and errors with the same number of tokens",
                hint='feedback = "auto"',
            )
        return PerToken(shape[channel], channel + 1)

    def _same_tokens(self, shape: tuple[int, ...], channel: int) -> bool:
        positions = self.output_shape[:-1]
        return bool(positions) and positions == (*shape[:channel], *shape[channel + 1 :])

    def _rank(self, layout: Layout) -> int:
        """The largest rank for which U and V stay within the limit, and at most half the size of the error."""
        outputs = layout.outputs(self.output_shape)
        return max(1, min(-(-outputs // 2), self.limit // (outputs + layout.features)))


def check_kind(kind: str) -> None:
    """Raise ValueError for an unknown kind of feedback."""
    if kind not in get_args(FeedbackKind):
        raise ValueError(f"feedback = {kind!r} is not one of {', '.join(get_args(FeedbackKind))}")


def allocate(network: Network, kind: FeedbackKind) -> dict[str, FeedbackMap]:
    """Draw B_l for every block, on the network's device. Returns block name -> feedback.

    Each block may use an equal share of the network's own bytes, so all feedback together is no larger than the
    network. The minimum is `DENSE_LIMIT` values per block.
    """
    # Example: 40 MB of fp32 weights, 5 blocks, error (10,).  limit = max(2**20, 40 MB / 4 / 5) = 2,000,000 values.
    #   block (256, 32, 32): dense 10 x 262,144 = 2.6 M exceeds it -> per channel: B (10, 256)
    #   block (512, 16, 16): dense 10 x 131,072 = 1.3 M fits       -> dense: B (10, 131072)
    own = sum(parameter.numel() * parameter.element_size() for parameter in network.model.parameters())
    limit = max(DENSE_LIMIT, own // 4 // len(network.blocks))
    chooser = Chooser(network.output_shape, limit, len(network.blocks), network.sequences)
    timed = replace(chooser, output_shape=network.output_shape[1:])  # one error per call of the block
    choices = {
        block: (timed if block.timed else chooser).choose(kind, block.shape, block.channel_axis)
        for block in network.blocks
    }
    owner = _store_shared(network, choices) if kind == "slice" else None
    return {block.name: _drawn(network, block, choice, owner) for block, choice in choices.items()}


def per_step(network: Network) -> dict[str, FeedbackMap]:
    """Draw one B_l (n_out x width) for every block of (steps, width), shared by its steps. Returns name -> feedback.

    B_l maps an error per step (N, steps, n_out), whatever shape the network's own error has.
    """
    choices = {block: FeedbackChoice(PerToken(block.shape[-1]), "per-step") for block in network.blocks}
    return {block.name: _drawn(network, block, choice, None) for block, choice in choices.items()}


def _drawn(network: Network, block: Block, choice: FeedbackChoice, owner: Block | None) -> FeedbackMap:
    layout = choice.layout
    shape = layout.outputs(block.part_shape(network.output_shape)), layout.features
    generator = network.generator("feedback")
    if owner is not None:
        return FeedbackMap(block, layout, Slice(owner, *shape), choice.kind, shape)
    if choice.kind.endswith("seeded"):
        return FeedbackMap(block, layout, Seeded.drawn(block, shape, generator), choice.kind, shape)
    if choice.rank:
        sketch = torch.randn(shape[0], choice.rank, generator=generator).div_(math.sqrt(choice.rank))
        block.store(SKETCH, _at_least_fp32(sketch, network))
        layout = LowRank(layout, block)
    rows = layout.outputs(block.part_shape(network.output_shape))
    block.store(FEEDBACK, _at_least_fp32(draw_feedback(rows, layout.features, generator), network))
    return FeedbackMap(block, layout, Stored(block), choice.kind, shape)


def _store_shared(network: Network, choices: dict[Block, FeedbackChoice]) -> Block:
    """Draw the matrix that all blocks share, and store it at the first block that needs all its columns."""
    layouts = {block: choice.layout for block, choice in choices.items()}
    outputs = max(layout.outputs(block.part_shape(network.output_shape)) for block, layout in layouts.items())
    owner = max(layouts, key=lambda block: layouts[block].features)
    drawn = torch.randn(outputs, layouts[owner].features, generator=network.generator("feedback"))
    owner.store(FEEDBACK, _at_least_fp32(drawn, network))
    return owner


def draw_feedback(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """Draw a random B (rows x features): Gaussian, with each row divided by its norm."""
    drawn = torch.randn(rows, features, generator=generator)
    return drawn.div_(drawn.norm(dim=1, keepdim=True))


def _at_least_fp32(drawn: Tensor, network: Network) -> Tensor:
    return drawn.to(torch.promote_types(network.dtype, torch.float32))


def _name(layout: Layout) -> str:
    return {Dense: "dense", PerChannel: "per-channel", PerToken: "per-token"}[type(layout)]
