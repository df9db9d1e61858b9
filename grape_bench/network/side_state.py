"""What a model stores besides its parameters: buffers, attributes, tensors in attributes, random generators."""

from __future__ import annotations

import enum
import random
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grape_bench.network.block import PREFIX

Restore = Callable[[], None]
"""Resets one object to its earlier state."""

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size})
"""Types whose values never change. An attribute of such a type changes only by assignment."""

OWN_TO_TORCH = frozenset(vars(nn.Module())) - {"training", "_buffers", "_modules", "_parameters"}
"""Attributes of every module that a forward has no reason to change: the hooks, including ours."""

_NO_STATE = OWN_TO_TORCH | {"_modules", "_parameters", "training"}

_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, enum.Enum)
_LIBRARIES = frozenset(
    {"torch", "transformers", "lightning", "pytorch_lightning", "grape_bench", "logging", "threading"}
)


def snapshot(model: nn.Module, parameters: Iterable[nn.Parameter] = ()) -> list[Restore]:
    """Functions that restore everything `model` stores, and the values of `parameters`, to the current state.

    The rule's own buffers and other parameters are not restored. Objects are restored in place, so that references to
    them stay valid.
    """
    held = list(parts(model))
    restores = [_restore(part) for part in held]
    tensors = [part for part in held if isinstance(part, Tensor) and not isinstance(part, nn.Parameter)]
    return [*(restore for restore in restores if restore), *_tensors([*tensors, *parameters])]


def parts(model: nn.Module) -> Iterator[Any]:
    """Every object that `model` stores and that can change in place: modules, containers, tensors, generators."""
    # Example: a module with `self.seen = {"steps": [1, 2], "noise": torch.Generator()}` gives
    #   the module, its dicts of buffers and submodules, the dict `seen`, the list [1, 2] and the generator.
    stack: list[Any] = [*model.modules()]
    known: set[int] = set()
    while stack:
        part = stack.pop()
        if id(part) in known:
            continue
        known.add(id(part))
        yield part
        stack += [held for held in holdings(part).values() if type(held) not in PLAIN]


def holdings(part: Any) -> dict[Any, Any]:
    """The contents of an object: attribute, key or position -> value. Empty for tensors, code and library objects."""
    if isinstance(part, nn.Module):
        return {name: value for name, value in vars(part).items() if name not in _NO_STATE}
    if isinstance(part, dict):
        return {key: value for key, value in part.items() if not _is_rules(key)}
    if isinstance(part, (list, tuple, deque)):
        return dict(enumerate(part)) if not PLAIN.issuperset(map(type, part)) else {}
    return attributes(part) if is_object(part) else {}


def attributes(part: Any) -> dict[str, Any]:
    """The attributes of a module or of another user-defined object, without the hooks."""
    return {name: value for name, value in vars(part).items() if name not in OWN_TO_TORCH}


def is_object(part: Any) -> bool:
    """Whether this is a user-defined object with attributes: not code, a tensor, a generator, or part of a library."""
    special = isinstance(part, (*_CODE, Tensor, np.ndarray, *GENERATORS))
    return not special and hasattr(part, "__dict__") and type(part).__module__.partition(".")[0] not in _LIBRARIES


GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def position(generator: Any) -> Any:
    """The state of a random generator of torch, numpy or Python."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def set_position(generator: Any, state: Any) -> None:
    """Set a random generator to a state that `position` returned."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


def _restore(part: Any) -> Restore | None:
    if isinstance(part, nn.Module):
        return _attributes(part)
    if isinstance(part, Tensor):
        return None  # all tensors are restored together
    if isinstance(part, np.ndarray):
        return _array(part)
    if isinstance(part, GENERATORS):
        state = position(part)
        return lambda: set_position(part, state)
    if isinstance(part, (dict, list, set, deque, bytearray)):
        return _container(part)
    return _attributes(part) if is_object(part) else None


def _tensors(tensors: Iterable[Tensor]) -> list[Restore]:
    """Restore the values, with one operation for all tensors of a device and dtype.

    If nothing changed, the version counter stays, because a graph may have saved the tensor.
    """
    alike: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for tensor in tensors:
        lazy = nn.parameter.is_lazy(tensor) or tensor.is_meta or tensor.is_inference()
        if not lazy and tensor.layout is torch.strided and 0 not in tensor.stride():  # nothing writes to other kinds
            alike.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    return [_together(group) for group in alike.values()]


def _together(tensors: list[Tensor]) -> Restore:
    versions = [tensor._version for tensor in tensors]
    values = [torch.empty_like(tensor) for tensor in tensors]
    with torch.no_grad():
        torch._foreach_copy_(values, tensors)

    def restore() -> None:
        pairs = zip(tensors, versions, strict=True)
        targets = [tensor.data if tensor._version == version else tensor for tensor, version in pairs]
        with torch.no_grad():
            torch._foreach_copy_(targets, values)

    return restore


def _array(array: np.ndarray[Any, Any]) -> Restore:
    value = array.copy()

    def restore() -> None:
        if array.flags.writeable:
            array[...] = value

    return restore


def _container(part: Any) -> Restore:
    if isinstance(part, dict):
        return _dict(part)
    saved = list(part)

    def restore() -> None:
        now = list(part)
        if len(now) != len(saved) or any(one is not other for one, other in zip(now, saved, strict=True)):
            part.clear()
            (part.update if isinstance(part, set) else part.extend)(saved)

    return restore


def _dict(part: dict[Any, Any]) -> Restore:
    saved = dict(part)

    def restore() -> None:
        if _same_items(part, saved):
            return
        rules = {key: value for key, value in part.items() if _is_rules(key)}
        part.clear()
        part.update({key: value for key, value in saved.items() if not _is_rules(key)} | rules)

    return restore


def _attributes(part: Any) -> Restore:
    now: dict[str, Any] = vars(part)
    saved = dict(now)

    def restore() -> None:
        if _same_items(now, saved):
            return
        for name in now.keys() - saved.keys() - OWN_TO_TORCH:
            del now[name]
        now.update({name: value for name, value in saved.items() if name not in OWN_TO_TORCH})

    return restore


def _same_items(now: dict[Any, Any], saved: dict[Any, Any]) -> bool:
    """Whether two dicts hold the same objects in the same order. Some rules run this at every step, so it is fast."""
    same = len(now) == len(saved) and all(map(is_, now, saved))
    return same and all(map(is_, now.values(), saved.values()))


def _is_rules(key: Any) -> bool:
    """Whether a buffer belongs to the rule, which may change it on the side."""
    return type(key) is str and key.startswith(PREFIX)
