"""Activation checkpointing: parts of a forward that run again inside its backward."""

from __future__ import annotations

import sys

import torch
from torch.utils.checkpoint import CheckpointFunction

from grape_bench.errors import UserError

_REENTRANT = CheckpointFunction.forward.__code__


def backward_at_work() -> int | None:
    """The id of the backward pass that this thread runs, or None. A forward inside it is a recomputation."""
    number = torch._C._current_graph_task_id()
    return None if number == -1 else number


def refuse_reentrant(what: str) -> None:
    """Raise UserError inside reentrant checkpointing, which hides `what` from autograd until the backward pass.

    A cut or a feedback matrix could then not replace the true gradient.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is _REENTRANT:
            raise UserError(
                f"reentrant activation checkpointing hides {what} from the learning rule",
                hint="torch.utils.checkpoint with use_reentrant=False; "
                'in transformers, gradient_checkpointing_kwargs={"use_reentrant": False}',
            )
