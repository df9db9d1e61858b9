"""The copy task: read ten symbols, wait for a pause, and then repeat the ten symbols from memory.

Source: Hochreiter and Schmidhuber 1997, in the form of Arjovsky et al. 2016, section 5.1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grape_bench.data.options import parse_options
from grape_bench.data.procedural import HELD_OUT, NOT_GENERATED, ProceduralOptions, draw_parts, key_of, procedural_set
from grape_bench.data.rows import Facts, Samples
from grape_bench.objectives.target import IGNORED, Target

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

SEED, SYMBOLS, COPIED = 200, 8, 10
BLANK, GO = 0, SYMBOLS + 1


def load(*, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load sequences of token ids (length + 20,), where `length` is the pause.

    Only the ten copied symbols are scored. Guessing has a perplexity of 8. Arguments: `length`, `samples`, `limit`.
    """
    options = parse_options(ProceduralOptions, "copy", args, without=NOT_GENERATED)
    samples = draw_parts(SEED, options.samples, partial(draw, pause=options.length))
    train = min(options.limit or options.samples, options.samples)
    facts = Facts(
        name="copy",
        shape=(options.length + 2 * COPIED,),
        key=key_of(samples),
        options=options,
        objective="next-token",
        target=Target(unit="token"),
        vocabulary=SYMBOLS + 2,
        classes=SYMBOLS + 2,
        scored={"train": COPIED * train, "validation": COPIED * HELD_OUT, "test": COPIED * HELD_OUT},
    )
    return procedural_set(facts, samples, device)


def draw(random: np.random.RandomState, count: int, *, pause: int) -> Samples:
    """Draw `count` sequences and their targets."""
    # Two symbols and a pause of 3 would be: inputs [5 2 . . GO . .], targets [- - - - - 5 2], where - is ignored.
    symbols = random.randint(1, SYMBOLS + 1, (count, COPIED))
    inputs = np.full((count, pause + 2 * COPIED), BLANK, dtype=np.int64)
    target = np.full_like(inputs, IGNORED)
    inputs[:, :COPIED], target[:, -COPIED:] = symbols, symbols
    inputs[:, -COPIED - 1] = GO
    return Samples((), torch.from_numpy(target), {"input_ids": torch.from_numpy(inputs)})
