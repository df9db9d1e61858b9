"""Estimate the Jacobian J_l = d y_hat / d h_l of every block, with forward passes only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from grape_bench.errors import DoesNotApplyError, described
from grape_bench.network.axes import Samples
from grape_bench.network.block import Block
from grape_bench.network.passes import Forward
from grape_bench.network.tangents import TangentPass
from grape_bench.network.trees import map_tensors
from grape_bench.rules.layout import Layout, unfit

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch

Estimator = Literal["split", "joint"]
INDICES = torch.int32, torch.int64


@dataclass(frozen=True)
class JacobianEstimate:
    """Directions p (samples, features) at one block, and their effects d = J p (samples, rows of B)."""

    directions: Tensor
    effects: Tensor

    @property
    def samples(self) -> int:
        """The number of pairs (p, d)."""
        return len(self.directions)

    @property
    def matrix(self) -> Tensor:
        """J^ (rows of B x features): the mean of d p^T, as one matrix product."""
        return self.effects.T @ self.directions / self.samples


class JacobianEstimates(dict[str, JacobianEstimate]):
    """Block name -> estimate. `forward` is the forward that made the estimates, if it ran on the whole batch."""

    forward: Forward | None = None


@dataclass(frozen=True)
class Sampling:
    """How p is drawn: `perturbations` passes over the first `fraction` of the batch.

    `"split"` assigns each sample of the batch to one block. `"joint"` perturbs all blocks at once. Then every sample
    counts for every block, but the effects of the other blocks add noise. Both are unbiased.
    """

    perturbations: int = 1
    fraction: float = 1.0
    estimator: Estimator = "split"


def estimate_jacobians(
    network: Network, batch: Batch, layouts: Mapping[str, Layout], sampling: Sampling
) -> JacobianEstimates:
    """Estimate J^_l for the blocks in `layouts`: the mean of d p^T with p ~ N(0, I) and d = J_l p.

    Statistics and random state do not change, so the next forward draws the same dropout masks. Raises
    DoesNotApplyError if a fraction of the batch cannot run on its own.
    """
    if sampling.fraction < 1:
        batch = first_samples(batch, sampling.fraction, network.samples)
    blocks = [block for block in network.blocks if block.name in layouts]
    sums = JacobianEstimates()
    for turn in range(sampling.perturbations):
        draw = _Draw(network, layouts, blocks if sampling.estimator == "split" else [], turn)
        tangent_pass = TangentPass(draw)
        try:
            returned = network.aside(tangent_pass, batch)
        except (RuntimeError, IndexError) as error:
            if sampling.fraction == 1 or isinstance(error, torch.OutOfMemoryError):
                raise
            raise _dependent(described(error)) from error
        for block in blocks:
            estimate = draw.estimate(block, tangent_pass.tangent)
            if estimate is not None:
                before = sums.get(block.name)
                sums[block.name] = estimate if before is None else _pooled(before, estimate)
    if sampling.fraction == 1 and tangent_pass.logits is not None:
        sums.forward = Forward(returned, tangent_pass.logits)
    return sums


class _Draw:
    """Draws the directions of one pass, block by block, and stores them as rows for the outer products."""

    # Example: N = 6 samples, 10 outputs, two blocks of 256 units, "split", turn 0: block 0 owns samples 0, 2, 4.
    #   rows p (3, 256) ~ N(0, I) -> direction (6, 256) with p in rows 0, 2, 4 and zeros in rows 1, 3, 5
    #   after the pass: effects d = tangent[[0, 2, 4]] (3, 10) -> J^ = d^T p / 3, shape (10, 256)

    def __init__(self, network: Network, layouts: Mapping[str, Layout], split: list[Block], turn: int) -> None:
        self.layouts = layouts
        self.generator = network.generator("perturbation", network.device)
        self.split = {block.name: index for index, block in enumerate(split)}
        if split:
            self.turn = turn + int(torch.randint(len(split), (), generator=network.generator("perturbation")))
        self.rows: dict[str, list[tuple[Block, Tensor]]] = defaultdict(list)

    def __call__(self, block: Block, output: Tensor) -> Tensor | None:
        """Draw p for `block`, with zeros for the samples of other blocks. Returns None if no sample belongs to it."""
        if block.name not in self.layouts:
            return None
        mine = self._mine(block, output.shape[0])
        count = output.shape[0] if mine is None else len(range(output.shape[0])[mine])
        if count == 0:
            return None
        layout = self.layouts[block.name]
        shape = torch.Size((count, *output.shape[1:]))
        drawn = torch.randn(layout.row_count(shape), layout.features, generator=self.generator, device=output.device)
        self.rows[block.name].append((block, drawn))
        direction = layout.spread(drawn, shape).to(output.dtype)
        if mine is None:
            return direction.contiguous()
        spread = torch.zeros_like(output)
        spread[mine] = direction
        return spread

    def estimate(self, block: Block, tangent: Tensor | None) -> JacobianEstimate | None:
        """Return the estimate of the block's Jacobian, or None if no sample belongs to the block."""
        calls = self.rows.get(block.name)
        if calls is None or tangent is None:
            return None
        mine = self._mine(block, tangent.shape[0])
        moved = tangent if mine is None else tangent[mine].contiguous()
        found = []
        for call, rows in calls:
            effects = self.layouts[block.name].rows(call.part_of(moved))
            if len(effects) != len(rows):
                raise unfit(torch.Size((len(rows), *block.shape[1:])))
            found.append(JacobianEstimate(rows.to(effects.dtype), effects))
        return reduce(_pooled, found)

    def _mine(self, block: Block, samples: int) -> slice | None:
        """Return which of the `samples` belong to the block, or None for all of them."""
        if not self.split:
            return None
        return slice((self.split[block.name] + self.turn) % len(self.split), samples, len(self.split))


def _pooled(a: JacobianEstimate, b: JacobianEstimate) -> JacobianEstimate:
    return JacobianEstimate(torch.cat([a.directions, b.directions]), torch.cat([a.effects, b.effects]))


def first_samples(batch: Batch, fraction: float, samples: Samples) -> Batch:
    """Keep the first `fraction` of the samples, at least one.

    Raises DoesNotApplyError if the batch has indices that belong to no sample, such as the edges of a graph.
    """
    args, kwargs = batch
    count = samples.count_in(batch)
    kept = max(1, round(count * fraction))

    def shorten(tensor: Tensor) -> Tensor:
        if tensor.layout is not torch.strided:
            raise _dependent(f"an input of shape {tuple(tensor.shape)} is sparse, such as the edges of a graph")
        if samples.time_first and tensor.dim() > 1 and tensor.shape[1] == count:
            return tensor[:, :kept]
        if tensor.dim() and len(tensor) == count:
            return tensor[:kept]
        if tensor.dim() and len(tensor) > 1 and tensor.dtype in INDICES:
            raise _dependent(f"an input of shape {tuple(tensor.shape)} has integers that belong to no sample")
        return tensor

    return map_tensors(shorten, args), map_tensors(shorten, kwargs)


def _dependent(why: str) -> DoesNotApplyError:
    return DoesNotApplyError(
        f"a part of the batch cannot run alone: {why}",
        allowed="a fraction below 1 for samples that do not depend on each other, so for no graphs",
        hint="fraction = 1 (`grape` in place of `grape-quarter`)",
    )
