"""Run a model on the side: a forward that leaves no trace in the model or in the random generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import zip_longest
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.block import PREFIX
from grape_bench.network.side_state import snapshot
from grape_bench.network.trees import activations

Batch = tuple[tuple[Any, ...], dict[str, Any]]
"""The positional and keyword arguments of one forward."""

_written: WeakKeyDictionary[nn.Module, list[nn.Parameter]] = WeakKeyDictionary()
"""The parameters that a model's own forward writes to, such as the rows of an embedding with `max_norm`."""


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Restore the model and all random generators at the end, even after an error.

    This covers the model's buffers, the attributes of its modules, tensors and generators in them, and the global
    generators of torch, numpy and Python. The next forward therefore draws the same dropout masks as a forward inside
    the block. If a model's forward writes to its parameters, call `remember_written` first.
    """
    restores = snapshot(model, _written.get(model, ()))
    try:
        with _random_state(model):
            yield
    finally:
        for restore in restores:
            restore()


@contextmanager
def seeded(model: nn.Module, seed: int) -> Iterator[None]:
    """Seed the global generators inside the block, and restore them at the end."""
    with _random_state(model):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        yield


class Autocast:
    """Whether a forward on `device` runs under autocast, and with which dtype. A backward runs without it."""

    def __init__(self, device: torch.device) -> None:
        self.kind = device.type
        enabled = torch.amp.is_autocast_available(self.kind) and torch.is_autocast_enabled(self.kind)
        self.dtype = torch.get_autocast_dtype(self.kind) if enabled else None

    def again(self) -> AbstractContextManager[object]:
        """The same autocast, or none."""
        return nullcontext() if self.dtype is None else torch.autocast(self.kind, self.dtype)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Turn autocast off, to compute small differences of large numbers."""
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()


class Conditions:
    """The random state and the autocast setting at the start of a forward, so that another forward can repeat them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._python, self._numpy, self._cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self.autocast = Autocast(device)

    @contextmanager
    def repeated(self, model: nn.Module) -> Iterator[None]:
        """Set these conditions for a forward inside the backward of the first one. Use it inside `preserved`.

        The model sees copies of its buffers, because that backward may still read the originals.
        """
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self.device)
        with torch.compiler.set_stance("force_eager"), _copied_buffers(model):
            yield


@contextmanager
def _copied_buffers(model: nn.Module) -> Iterator[None]:
    """Put copies of the model's own buffers into its modules, and restore the originals at the end."""
    copies: dict[int, Tensor] = {}
    originals = []
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and not name.startswith(PREFIX):
                originals.append((module, name, buffer))
                module._buffers[name] = copies.setdefault(id(buffer), buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in originals:
            module._buffers[name] = buffer


@contextmanager
def _random_state(model: nn.Module) -> Iterator[None]:
    """Restore the global generators at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@torch.no_grad()
def remember_written(model: nn.Module, batch: Batch) -> None:
    """Find the parameters that a forward on `batch` writes to, so that `preserved` restores them."""
    before = [(parameter, parameter.detach().clone()) for parameter in model.parameters()]
    _written.pop(model, None)
    try:
        run_aside(model, batch)
    finally:
        changed = [parameter for parameter, value in before if not _equal(parameter, value)]
        for parameter, value in before:
            if any(parameter is other for other in changed):
                parameter.data.copy_(value)
        if changed:
            _written[model] = changed


def refuse_hidden_state(model: nn.Module, batch: Batch) -> None:
    """Raise UserError if two forwards from the same state differ. Then some state cannot be restored."""
    if _same(run_aside(model, batch), run_aside(model, batch)):
        return
    name = _culprit(model, batch)
    where = f"module {name!r} ({type(model.get_submodule(name)).__name__})" if name else type(model).__name__
    raise UserError(
        f"{where} gives another output when a forward is repeated from the same state: it keeps state, or draws random "
        "numbers, where grape-bench cannot restore them",
        allowed="state in buffers and attributes of modules; the global generators of torch, numpy and Python, or "
        "generators in attributes",
        hint="move counters and generators from the class, a global variable or a closure to `self`",
    )


@contextmanager
def fits(model: nn.Module) -> Iterator[None]:
    """Raise UserError if `model` fails on the example inside the block."""
    try:
        yield
    except (AttributeError, IndexError, TypeError) as error:
        raise UserError(
            f"{type(model).__name__} cannot run on this example: {type(error).__name__}: {error}",
            allowed="a tensor, a tuple of positional arguments, or a dict of keyword arguments",
            hint="an example for which model(example), model(*example) or model(**example) works",
        ) from error


@torch.no_grad()
def run_aside(model: nn.Module, batch: Batch) -> Any:
    """The output of a forward without a graph and without side effects."""
    args, kwargs = batch
    with fits(model), preserved(model), torch.compiler.set_stance("force_eager"):
        return model(*args, **kwargs)


def _culprit(model: nn.Module, batch: Batch) -> str:
    """The innermost module whose output changes in a second forward on the same input, or "" if there is none."""
    pairs = zip(_calls(model, batch), _calls(model, batch), strict=False)
    return next((name for (name, *one), (_, *two) in pairs if _same(one[0], two[0]) and not _same(one[1], two[1])), "")


def _calls(model: nn.Module, batch: Batch) -> list[tuple[str, Any, Any]]:
    """(name, input, output) of every call of a module, in the order in which the calls end."""
    made: list[tuple[str, Any, Any]] = []

    def note(name: str, _: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        made.append((name, [args, kwargs], output))

    handles = [
        module.register_forward_hook(partial(note, name), with_kwargs=True) for name, module in model.named_modules()
    ]
    try:
        run_aside(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return made


def _same(one: Any, other: Any) -> bool:
    """Whether two outputs are equal up to rounding. Rounding may differ with the order of parallel sums."""
    pairs = zip_longest(activations(one), activations(other))
    return all(a is not None and b is not None and a.shape == b.shape and _close(a, b) for a, b in pairs)


def _close(a: Tensor, b: Tensor) -> bool:
    if a.is_meta:
        return True  # no data that could differ
    finite = a[a.isfinite()].abs()
    size = finite.max().item() if finite.numel() else 0.0
    return torch.allclose(a, b, rtol=0, atol=100 * torch.finfo(a.dtype).eps * size, equal_nan=True)


def _equal(parameter: Tensor, value: Tensor) -> bool:
    return parameter.is_meta or bool(((parameter == value) | (parameter.isnan() & value.isnan())).all())
