"""One training in several processes, each with its part of every batch.

Gradients are averaged here instead of in DistributedDataParallel, which treats a missing gradient as an error. Rules
leave some gradients out, and not always the same ones. In a single process, every function here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import compress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """The rank of this process, from 0. Process 0 writes the record."""
    return dist.get_rank() if _joined() else 0


def size() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if _joined() else 1


def local_device() -> torch.device:
    """This process's GPU, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if _joined() else torch.device("cuda")


@contextmanager
def joined(processes: int) -> Iterator[None]:
    """Join the process group that `torchrun` started, until the end of the block. Does nothing for one process."""
    if processes == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield
    # Not after an error, because the other processes would fail before this one reports the cause.
    dist.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, with one message per dtype.

    A process without a gradient of a parameter counts as zero, and gets the mean as well. If no process has one, it
    stays None.
    """
    if not _joined():
        return
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for parameter in _with_gradient_somewhere(list(parameters)):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        kinds.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in kinds.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= size()
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def _with_gradient_somewhere(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    """Those of the `parameters` that at least one process has a gradient of.

    Processes may lack different gradients, because a model may drop layers at random.
    """
    held = [parameter.grad is not None for parameter in parameters]
    present = torch.tensor(held, dtype=torch.uint8, device=parameters[0].device)
    dist.all_reduce(present, dist.ReduceOp.MAX)
    return list(compress(parameters, present.tolist()))


def mean(values: Tensor) -> Tensor:
    """The mean of `values` over the processes."""
    if _joined():
        dist.all_reduce(values)
        values /= size()
    return values


def gathered_sums(sums: dict[str, Tensor], kept: tuple[str, ...]) -> dict[str, Tensor]:
    """`sums` added up over the processes, in float64 on the CPU. The keys in `kept` are concatenated by process."""
    every = gathered({name: value.double().cpu() for name, value in sums.items()}) if _joined() else [sums]
    names = dict.fromkeys(name for one in every for name in one)
    found = {name: [one[name] for one in every if name in one] for name in names}
    return {
        name: (torch.cat(parts) if name in kept else torch.stack(parts).sum(0)).double().cpu()
        for name, parts in found.items()
    }


def agreed(decision: bool) -> bool:
    """Return the decision of process 0."""
    if not _joined():
        return decision
    said: list[bool] = [decision]
    dist.broadcast_object_list(said, 0)
    return said[0]


def gathered(value: Any) -> list[Any]:
    """The `value` of every process."""
    values = [value] * size()
    if _joined():
        dist.all_gather_object(values, value)
    return values


def share_statistics(model: nn.Module) -> None:
    """Copy the buffers of process 0 to all processes. Each has BatchNorm statistics of its own samples."""
    if _joined():
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
