"""What a model stores besides its parameters and buffers, as plain data for a checkpoint."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grape_bench.network.side_state import GENERATORS, attributes, holdings, is_object, position, set_position

_ELSEWHERE = {"_parameters", "_buffers", "_modules", "training", "_compiled_call_impl"}
"""Attributes of a module that are saved as tensors, or that the training loop or `compile` sets."""

_VALUES = {type(None), bool, int, float, complex, str, bytes}
_SAME = {"kind": "same"}


class UnsavedStateError(Exception):
    """A module stores something that no checkpoint can hold."""


class SavedState:
    """Saves the attributes of a model's modules, the generators in them, and their `get_extra_state`.

    It remembers what the model held when this object was made. A checkpoint is loaded into a model that was made in the
    same way. So an object that is still the same need not be saved, except for what changed inside it.
    """

    # Example: a module with `self.step = 3`, `self.noise = torch.Generator()`, `self.act = torch.relu` is saved as
    #   {"step": 3, "noise": {"kind": "generator", "value": its position}}. `act` has not changed since the start.

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._first: dict[str, Any] = {}
        self._seen: set[int] = set()
        for name, module in model.named_modules():
            self._remember(name, _own(module))

    def state(self) -> dict[str, Any]:
        """Name of a module -> its attributes as plain data. Raises UnsavedStateError."""
        self._seen = set()
        saved = {}
        for name, module in self.model.named_modules():
            saved[name] = {"attributes": self._encoded_items(name, _own(module))}
            if type(module).get_extra_state is not nn.Module.get_extra_state:
                saved[name]["extra"] = self._encoded(f"{name}.get_extra_state()", module.get_extra_state())
        return saved

    def load(self, state: dict[str, Any]) -> None:
        """Resume from the result of `state`."""
        for name, module in self.model.named_modules():
            _load(vars(module), _own(module), state[name]["attributes"])
            if "extra" in state[name]:
                module.set_extra_state(_decoded(None, state[name]["extra"]))

    def _remember(self, path: str, held: dict[Any, Any]) -> None:
        for key, value in held.items():
            inside = f"{path}.{key}"
            if type(value) not in _VALUES:
                self._first[inside] = value
                if id(value) not in self._seen and not isinstance(value, nn.Module):
                    self._seen.add(id(value))
                    self._remember(inside, holdings(value))

    def _encoded_items(self, path: str, held: dict[Any, Any]) -> list[list[Any]]:
        for key in held:
            if type(key) not in _VALUES:
                raise UnsavedStateError(f"{path.lstrip('.')} has the key {key!r}, which cannot be saved")
        return [[key, self._encoded(f"{path}.{key}", value)] for key, value in held.items()]

    def _encoded(self, path: str, value: Any) -> Any:
        if type(value) in _VALUES:
            return value
        same = path in self._first and self._first[path] is value
        if same and (isinstance(value, (nn.Parameter, nn.Module)) or id(value) in self._seen):
            return _SAME
        self._seen.add(id(value))
        if isinstance(value, Tensor) and type(value) is not nn.Parameter:
            return {"kind": "tensor", "value": value.detach(), "device": str(value.device)}
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
            array = torch.from_numpy(np.array(value))
            return {"kind": "array" if isinstance(value, np.ndarray) else "number", "value": array}
        known = same and isinstance(value, (dict, list, deque))
        if known or type(value) in (list, tuple, set, dict):
            items = value if isinstance(value, dict) else dict(enumerate(value))
            return {"kind": _kind(value), "value": self._encoded_items(path, items)}
        if same and isinstance(value, GENERATORS):
            return {"kind": "generator", "value": self._encoded(f"{path}.position", position(value))}
        if same and is_object(value):
            return {"kind": "object", "value": self._encoded_items(path, attributes(value))}
        if same and (isinstance(value, io.IOBase) or not isinstance(value, Iterator)):
            return _SAME
        raise UnsavedStateError(f"{path.lstrip('.')} ({type(value).__name__}) cannot be saved")


def _own(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in attributes(module).items() if name not in _ELSEWHERE}


def _kind(value: Any) -> str:
    kinds = {"dict": dict, "list": list, "tuple": tuple, "set": set, "deque": deque}
    return next(name for name, kind in kinds.items() if isinstance(value, kind))


def _load(target: dict[str, Any], own: dict[str, Any], items: list[list[Any]]) -> None:
    """Replace the `own` attributes of an object, `target`, by the saved ones."""
    for name in own.keys() - {name for name, _ in items}:
        del target[name]
    for name, encoded in items:
        target[name] = _decoded(own.get(name), encoded)


def _decoded(now: Any, encoded: Any) -> Any:
    """The saved value. If the model already holds an object (`now`), it is changed in place."""
    if not isinstance(encoded, dict):
        return encoded
    kind = encoded["kind"]
    if kind == "same":
        return now
    value: Any = encoded["value"]
    if kind == "tensor":
        return _tensor(now, value.to(encoded["device"]))
    if kind in ("array", "number"):
        return value.numpy() if kind == "array" else value.numpy()[()]
    if kind == "generator":
        set_position(now, _decoded(None, value))
        return now
    if kind == "object":
        _load(vars(now), attributes(now), value)
        return now
    return _container(now, kind, value)


def _tensor(now: Any, value: Tensor) -> Tensor:
    if isinstance(now, Tensor) and now.shape == value.shape and now.dtype == value.dtype and now.device == value.device:
        now.data.copy_(value)
        return now
    return value


def _container(now: Any, kind: str, items: list[list[Any]]) -> Any:
    held = now if isinstance(now, dict) else dict(enumerate(now)) if isinstance(now, (list, tuple, deque)) else {}
    values = {key: _decoded(held.get(key), encoded) for key, encoded in items}
    if kind in ("tuple", "set"):
        return tuple(values.values()) if kind == "tuple" else set(values.values())
    filled: Any = now if _is(now, kind) else {} if kind == "dict" else []
    filled.clear()
    (filled.update if kind == "dict" else filled.extend)(values if kind == "dict" else values.values())
    return filled


def _is(now: Any, kind: str) -> bool:
    return isinstance(now, (dict, list, deque)) and _kind(now) == kind
