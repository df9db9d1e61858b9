"""The adding problem: add the two marked numbers of a sequence.

Source: Hochreiter and Schmidhuber 1997, section 5.4, in the form of Le et al. 2015: one mark in each half.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grape_bench.data.options import parse_options
from grape_bench.data.procedural import NOT_GENERATED, ProceduralOptions, draw_parts, key_of, procedural_set
from grape_bench.data.rows import Facts, Samples
from grape_bench.errors import UserError
from grape_bench.objectives.target import Target

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

SEED = 100


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load sequences (2, length): numbers from 0 to 1, and marks. The targets are (1,).

    Arguments: `length`, `samples`, `limit`. The best constant prediction has an RMSE of 0.41.
    """
    options = parse_options(ProceduralOptions, "adding", args, without=NOT_GENERATED)
    if options.length < 2:
        raise UserError(f"length = {options.length}", where="dataset_args of 'adding'", allowed="2 or more")
    samples = draw_parts(SEED, options.samples, partial(draw, length=options.length))
    facts = Facts(
        name="adding",
        shape=(2, options.length),
        key=key_of(samples),
        options=options,
        objective="regression",
        target=Target(),
    )
    return procedural_set(facts, samples, device)


def draw(random: np.random.RandomState, count: int, *, length: int) -> Samples:
    """Draw `count` sequences and their sums."""
    # Numbers [.1 .9 .4 .7] and marks [0 1 1 0]: the target is .9 + .4 = 1.3.
    values, marks = random.rand(count, length), np.zeros((count, length))
    rows, half = np.arange(count), length // 2
    first, second = random.randint(0, half, count), random.randint(half, length, count)
    marks[rows, first] = marks[rows, second] = 1
    inputs = np.stack([values, marks], axis=1).astype(np.float32)
    sums = (values[rows, first] + values[rows, second]).astype(np.float32)
    return Samples((torch.from_numpy(inputs),), torch.from_numpy(sums)[:, None])
