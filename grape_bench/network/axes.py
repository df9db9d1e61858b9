"""Where samples, positions and outputs are in a model's tensors, and how to convert them for a rule.

A rule sees activations (N, ...) and errors (N, positions..., n_out), however the model arranges its axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.trees import tensors

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Samples:
    """The number of samples N in an example, and whether its input is time-first (T, N, ...)."""

    count: int
    time_first: bool = False

    def count_in(self, batch: Any) -> int:
        """The number of samples in another batch."""
        first = next((tensor for tensor in tensors(list(batch)) if tensor.dim() > self.time_first), None)
        return 1 if first is None else first.shape[int(self.time_first)]

    def axis(self, shape: Shape) -> int | None:
        """The sample axis of `shape`: 0, 1 (time is first), or None."""
        if self.time_first and len(shape) > 2 and shape[1] == self.count:
            return 1
        if shape[:1] == (self.count,):
            return 0
        return 1 if len(shape) > 2 and shape[1] == self.count else None


@dataclass(frozen=True)
class Arrangement:
    """How one output of the model is rearranged to (N, positions..., n_out).

    `samples` is the sample axis. `outputs` is the axis of the outputs once samples are first, or None for an output of
    shape (N,). `flat` means that samples and positions share the first axis, as in logits.view(-1, C).
    """

    samples: int
    outputs: int | None
    flat: bool = False

    # Example, time first with flat rows: output (T N, C), N = 4, T = 6 -> view (6, 4, C) -> (4, 6, C)
    # Example, segmentation with axis=1: output (N, C, H, W) -> (N, H, W, C)

    def seen(self, output: Tensor, count: int) -> Tensor:
        """Arrange `output` of `count` samples as (N, positions..., n_out)."""
        if self.flat:
            output = output.unflatten(0, (-1, count) if self.samples else (count, -1))
        output = moved(output, self.samples, 0)
        return output.unsqueeze(-1) if self.outputs is None else moved(output, self.outputs, output.dim() - 1)

    def returned(self, seen: Tensor) -> Tensor:
        """Arrange (N, positions..., n_out) as the model returns it."""
        output = seen.squeeze(-1) if self.outputs is None else moved(seen, seen.dim() - 1, self.outputs)
        output = moved(output, 0, self.samples)
        return output.flatten(0, 1) if self.flat else output


def moved(tensor: Tensor, source: int, destination: int) -> Tensor:
    """`tensor.movedim`, but without a view if nothing moves, because a view adds a node to the graph."""
    return tensor if source == destination else tensor.movedim(source, destination)


def arrangement(shape: Shape, samples: Samples, axis: int | None, steps: int, *, unclear: bool) -> Arrangement:
    """How an output of `shape` is arranged. `axis` is the user's choice, `steps` is the number of calls per module.

    `unclear` means that the outputs may lie on another axis than the last, as after a convolution or a transpose.

    Raises UserError if the axis of the outputs or of the samples is unclear.
    """
    where = samples.axis(shape)
    if len(shape) > 2 and shape[:2] == (samples.count,) * 2 and steps == samples.count:
        raise UserError(
            f"the output has shape {shape}, and it is unclear which axis holds the {samples.count} samples",
            hint="attach with an example that has another number of samples than time steps",
        )
    flat = where is None and bool(shape) and len(shape) <= 2 and shape[0] % samples.count == 0
    if where is None and not flat:
        raise UserError(
            f"the output has shape {shape}, but the input has {samples.count} samples",
            allowed="an output with the samples of the input on its first axis (or on its second, after time)",
            hint="attach with an example whose first tensor has the samples on its first axis",
        )
    if flat:
        where = int(samples.time_first)
    full = (0, *shape) if flat else shape
    if axis is None and (len(full) > 3 or (len(full) == 3 and unclear)):
        raise UserError(
            f"the output has shape {shape}, and it is unclear on which axis its outputs (classes) lie",
            allowed=f"axis=1 to axis={len(full) - 1}, or -1",
            hint="attach(..., axis=1) for (N, classes, height, width)",
        )
    if len(full) == 1:
        return Arrangement(0, None)
    return Arrangement(where or 0, _output_axis(axis, shape, len(full)), flat)


def _output_axis(axis: int | None, shape: Shape, axes: int) -> int:
    """The user's `axis` among `axes`, counted from 0, or the last one. Raises UserError unless it is above 0."""
    if axis is None:
        return axes - 1
    chosen = axis % axes if type(axis) is int and -axes <= axis < axes else 0
    if not chosen:
        raise UserError(f"axis={axis!r} is no axis of the outputs, whose shape is {shape}", allowed="1 or more, or -1")
    return chosen


@dataclass(frozen=True)
class OutputView:
    """How a rule sees the model's outputs: a single output as it is, several outputs side by side as one.

    Several outputs are concatenated along n_out if they have the same positions. Otherwise each sample's values are
    flattened first.
    """

    arrangements: tuple[Arrangement, ...]
    shape: Shape
    """(positions..., n_out) of the example."""

    @property
    def as_is(self) -> bool:
        """Whether the model has a single output that already has samples first and outputs last."""
        return self.arrangements == (Arrangement(0, len(self.shape)),)

    def seen(self, outputs: Sequence[Tensor], count: int) -> Tensor:
        """(N, positions..., n_out) from what the model returned for `count` samples."""
        arranged = [form.seen(output, count) for form, output in zip(self.arrangements, outputs, strict=True)]
        if len(arranged) == 1:
            return arranged[0]
        shared = len({one.shape[:-1] for one in arranged}) == 1
        return torch.cat(arranged if shared else [one.flatten(1) for one in arranged], -1)

    def unembedding_width(self, head: nn.Module) -> int | None:
        """The feature width if `head` maps tokens to a larger vocabulary (the cut of Launay et al. 2020), else None."""
        if isinstance(head, nn.Linear) and len(self.shape) == 2 and head.out_features > head.in_features:
            return head.in_features
        return None

    def returned(self, seen: Tensor, outputs: Sequence[Tensor], count: int) -> list[Tensor]:
        """Split `seen` into tensors shaped like `outputs`."""
        if len(outputs) == 1:
            return [self.arrangements[0].returned(seen)]
        shapes = [form.seen(output, count).shape for form, output in zip(self.arrangements, outputs, strict=True)]
        shared = len({shape[:-1] for shape in shapes}) == 1
        parts = seen.split([shape[-1] if shared else prod(shape[1:]) for shape in shapes], -1)
        return [
            form.returned(part.reshape(shape))
            for form, part, shape in zip(self.arrangements, parts, shapes, strict=True)
        ]


def output_view(shapes: Sequence[Shape], samples: Samples, axis: int | None, steps: int, unclear: bool) -> OutputView:
    """The view for outputs of `shapes`. Raises UserError if the axis of the outputs or of the samples is unclear."""
    forms = tuple(arrangement(shape, samples, axis, steps, unclear=unclear) for shape in shapes)
    example = OutputView(forms, ()).seen([torch.empty(shape, device="meta") for shape in shapes], samples.count)
    return OutputView(forms, tuple(example.shape[1:]))
