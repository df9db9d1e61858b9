"""The declared `weight_transport` matches whether the backward signal reads the forward weights."""

from __future__ import annotations

from grape_bench.contract.broken import difference, require
from grape_bench.contract.cases import Case, MakeRule, steps_of
from grape_bench.contract.replay import Recording, Replay, copy_feedback, redraw

ROUNDING = 1e-4  # relative error of a signal in fp32


def check(case: Case, make_rule: MakeRule) -> str:
    """Redraw the weights downstream of each block, hold everything else fixed, and compare the signal at the block."""
    declared = make_rule().weight_transport
    blocks = [block.name for block in case.attached(make_rule).blocks]
    readers = [name for name in blocks if _reads(case, make_rule, name)]
    if readers:
        listed = ", ".join(readers)
        require(declared, f"weight_transport = False is declared, but the signal reads the weights at {listed}")
        return f"the signal reads the weights at {len(readers)} of {len(blocks)} blocks"
    require(not declared, "weight_transport = True is declared, but no block's signal reads the weights")
    return "no block's signal reads the weights"


def _reads(case: Case, make_rule: MakeRule, block: str) -> bool:
    """Whether the signal at `block` depends on the weights downstream of it.

    Two networks take the same steps. They have the same activations, but different weights downstream of `block`. The
    feedback is copied from one to the other before the backward: learning the feedback from forward passes is allowed.
    """
    kept, moved = case.attached(make_rule), case.attached(make_rule)
    recording = Recording(kept)
    replay = Replay(moved, recording)
    steps = steps_of(make_rule())
    kept.begin_epoch(steps)
    moved.begin_epoch(steps)
    for index in range(steps):
        expected = case.logits(kept.model, index)
        if index == 0:
            redraw(moved, _downstream(recording, block, unembedding=kept.output_shape[-1] != expected.shape[-1]))
        logits = case.logits(moved.model, index)
        copy_feedback(kept, moved)
        case.loss(expected, index).backward()
        case.loss(logits, index).backward()
        if difference(replay.signals.pop(block, None), recording.signals.pop(block, None)) > ROUNDING:
            return True
    return False


def _downstream(recording: Recording, block: str, unembedding: bool) -> list[str]:
    """The linear maps from `block` to the point where the error is read, which is before an `unembedding`."""
    maps = recording.downstream(block)
    return maps[:-1] if unembedding else maps
