"""Registries of named classes and functions: built in, from entry points, or from a user's file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from grape_bench.errors import UserError, unknown
from grape_bench.user_code import load_file, user_code

T = TypeVar("T")


@dataclass(frozen=True)
class Builtin:
    """A value that ships with the package: where to import it from, and how job ids identify its code.

    Raise `numerics` when you change the numbers that the code computes. Every job that uses it then runs again. The
    other fields apply only to rules:

    - `source` is a frozen hash that ids contain instead of the hash of the file, so that a new comment in the file
      changes no id.
    - `uses` names other parts of the engine whose `numerics` also apply.
    - `defaults` holds settings that every new job records: changed defaults with their new values, and the settings
      that make a name a variant of its class.
    """

    target: str  # "package.module:attribute"
    numerics: int = 1
    source: str = ""
    uses: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """A table of names. A value is imported only when it is requested.

    `builtin` maps a name to a `Builtin`, or to its target alone, so that listing names imports nothing.
    `group` is the entry-point group in which other distributions register theirs.
    """

    def __init__(self, kind: str, builtin: Mapping[str, Builtin | str], group: str = "") -> None:
        self.kind, self.group = kind, group
        self._builtin = {name: Builtin(one) if isinstance(one, str) else one for name, one in builtin.items()}
        self._objects: dict[str, T] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._builtin, *self._objects, *self._entry_points()}))

    @property
    def shipped(self) -> tuple[str, ...]:
        """The names that ship with the package."""
        return tuple(self._builtin)

    def __contains__(self, name: str) -> bool:
        # Entry points come last, because finding them reads the metadata of every installed distribution.
        return name in self._builtin or name in self._objects or name in self._entry_points()

    def register(self, name: str, value: T) -> None:
        """Register `value` as `name`. Raises UserError if another value has that name."""
        taken = name in self._builtin or self._objects.get(name, value) is not value
        if taken and not _same_definition(self._objects.get(name), value):
            raise UserError(f"{self.kind} {name!r} is already registered", hint="another name")
        self._objects[name] = value

    def get(self, name: str) -> T:
        """The value called `name`: registered, built in, an entry point, or `path/to/file.py:Name`."""
        if name in self._objects:
            return self._objects[name]
        if is_file_reference(name):
            return self._load_file(name)
        module, _, attribute = self._target(name).partition(":")
        value: T = getattr(importlib.import_module(module), attribute)
        return value

    def source_hash(self, name: str) -> str:
        """16 hex digits that identify the code of `name`, computed without importing it.

        A built-in value has the frozen `Builtin.source`. Any other has the digest of its `UserCode`.
        """
        builtin = self.builtin(name)
        return builtin.source if builtin and builtin.source else user_code(self._file(name)).digest

    def builtin(self, name: str) -> Builtin | None:
        """The entry of `name` if it ships with the package, else None."""
        return self._builtin.get(name)

    def numerics(self, name: str) -> int:
        """The `numerics` of `name`. It is 1 for a value that does not ship with the package."""
        builtin = self.builtin(name)
        return builtin.numerics if builtin else 1

    def defaults(self, name: str) -> dict[str, Any]:
        """The settings that `name` declares: changed defaults, and what makes it a variant of its class."""
        builtin = self.builtin(name)
        return dict(builtin.defaults) if builtin else {}

    def _file(self, name: str) -> Path:
        """The file that defines `name`."""
        if is_file_reference(name):
            return split_file_reference(name)[0]
        if name in self._objects:
            return Path(sys.modules[self._objects[name].__module__].__file__ or "")
        spec = importlib.util.find_spec(self._target(name).partition(":")[0])
        return Path(spec.origin if spec and spec.origin else "")

    def _target(self, name: str) -> str:
        """`"package.module:attribute"` of a built-in value or an entry point. Raises UserError for other names."""
        builtin = self.builtin(name)
        target = builtin.target if builtin else self._entry_points().get(name)
        if target is None:
            hint = f"{name}:NAME, with the name of one in the file" if name.endswith(".py") else ""
            raise unknown(self.kind, name, self, hint=hint)
        return target

    def _entry_points(self) -> dict[str, str]:
        if not self.group:
            return {}
        return {point.name: point.value for point in importlib.metadata.entry_points(group=self.group)}

    def _load_file(self, reference: str) -> T:
        path, attribute = split_file_reference(reference)
        module = load_file(path)
        if not hasattr(module, attribute):
            public = [
                name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
            ]
            raise unknown(f"name in {path}", attribute, public)
        value: T = getattr(module, attribute)
        return value


def is_file_reference(name: str) -> bool:
    """Whether `name` has the form `path/to/file.py:Name`."""
    return ".py:" in name


def split_file_reference(reference: str) -> tuple[Path, str]:
    """`path/to/file.py:Name` as (existing path, name). Raises UserError if there is no such file."""
    file, _, attribute = reference.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"no file {file!r}", where=reference, hint="the path of a Python file")
    return path, attribute


def _same_definition(old: Any, new: Any) -> bool:
    """Whether `new` is the same class as `old`, imported a second time from its file."""
    return old is not None and getattr(old, "__qualname__", 0) == getattr(new, "__qualname__", 1)
