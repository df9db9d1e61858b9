"""The temporal order problem: two of many symbols are X or Y. Which two are they, and in which order?

Source: Hochreiter and Schmidhuber 1997, experiment 6a, with the positions of Pascanu et al. 2013.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grape_bench.data.labels import Labels
from grape_bench.data.options import parse_options
from grape_bench.data.procedural import NOT_GENERATED, ProceduralOptions, draw_parts, key_of, procedural_set
from grape_bench.data.rows import Facts, Samples
from grape_bench.errors import UserError

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

SEED, DISTRACTORS, CLASSES = 300, 4, 4
SHORTEST = 10


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load sequences of token ids (length,) in four classes: XX, XY, YX, YY.

    Arguments: `length` (10 or more), `samples`, `limit`.
    """
    options = parse_options(ProceduralOptions, "temporal_order", args, without=NOT_GENERATED)
    if options.length < SHORTEST:
        where = "dataset_args of 'temporal_order'"
        raise UserError(f"length = {options.length}", where=where, allowed=f"{SHORTEST} or more")
    samples = draw_parts(SEED, options.samples, partial(draw, length=options.length))
    facts = Facts(
        name="temporal_order",
        shape=(options.length,),
        key=key_of(samples),
        options=options,
        objective="classification",
        labels=Labels({part: one.target.numpy() for part, one in samples.items()}, CLASSES),
        vocabulary=DISTRACTORS + 2,
    )
    return procedural_set(facts, samples, device)


def draw(random: np.random.RandomState, count: int, *, length: int) -> Samples:
    """Draw `count` sequences and their classes."""
    # Length 10, distractors 0 to 3, X = 4 and Y = 5: [2 5 0 3 1 4 2 2 0 1] is YX, class 2.
    ids = random.randint(0, DISTRACTORS, (count, length))
    rows, tenth = np.arange(count), length // 10
    first = random.randint(tenth, 2 * tenth, count)
    second = random.randint(5 * tenth, 6 * tenth, count)
    symbols = random.randint(0, 2, (count, 2))
    ids[rows, first], ids[rows, second] = DISTRACTORS + symbols[:, 0], DISTRACTORS + symbols[:, 1]
    target = (2 * symbols[:, 0] + symbols[:, 1]).astype(np.int64)
    return Samples((), torch.from_numpy(target), {"input_ids": torch.from_numpy(ids.astype(np.int64))})
