"""Names that stand for classes and functions: built in, from entry points, or from a user's file."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from grape_bench.errors import UserError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of names; the value is imported only when it is asked for.

    `builtin` maps a name to `"package.module:attribute"`, so that listing names imports nothing.
    `group` is the entry-point group in which other distributions register theirs.
    """

    def __init__(self, kind: str, builtin: dict[str, str], group: str = "") -> None:
        self.kind, self.group = kind, group
        self._targets: dict[str, str] = dict(builtin)
        self._objects: dict[str, T] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._targets, *self._objects, *self._entry_points()}))

    def __contains__(self, name: str) -> bool:
        # Other distributions' names last: finding them reads the metadata of every one that is installed.
        return name in self._targets or name in self._objects or name in self._entry_points()

    def register(self, name: str, value: T) -> None:
        """Make `value` known as `name`; raises UserError when another value has that name."""
        taken = name in self._targets or self._objects.get(name, value) is not value
        if taken and not _same_definition(self._objects.get(name), value):
            raise UserError(f"{self.kind} {name!r} is already registered", hint="another name")
        self._objects[name] = value

    def get(self, name: str) -> T:
        """The value called `name`: registered, built in, an entry point, or `path/to/file.py:Name`."""
        if name in self._objects:
            return self._objects[name]
        if is_file_reference(name):
            return self._load_file(name)
        target = self._targets.get(name) or self._entry_points().get(name)
        if target is None:
            raise unknown(self.kind, name, self)
        module, _, attribute = target.partition(":")
        value: T = getattr(importlib.import_module(module), attribute)
        return value

    def source_hash(self, name: str) -> str:
        """SHA-256 of the file that defines `name`, found without importing it (first 16 hex digits)."""
        if is_file_reference(name):
            path = split_file_reference(name)[0]
        elif name in self._objects:
            path = Path(sys.modules[self._objects[name].__module__].__file__ or "")
        else:
            target = self._targets.get(name) or self._entry_points().get(name)
            if target is None:
                raise unknown(self.kind, name, self)
            spec = importlib.util.find_spec(target.partition(":")[0])
            path = Path(spec.origin if spec and spec.origin else "")
        return sha256(path.read_bytes()).hexdigest()[:16]

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
    """`path/to/file.py:Name` as (existing path, name); raises UserError where there is no such file."""
    file, _, attribute = reference.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"no file {file!r}", where=reference, hint="the path of a Python file, relative to here")
    return path, attribute


def load_file(path: Path) -> Any:
    """Import a user's Python file as a module of its own, once per content."""
    source = path.resolve()
    name = f"grape_bench_user_{source.stem}_{sha256(str(source).encode() + source.read_bytes()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, source, loader=_UncachedLoader(name, str(source)))
    if spec is None or spec.loader is None:
        raise UserError("not a Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"importing it raised {type(error).__name__}: {error}", where=str(path)) from error
    return module


class _UncachedLoader(importlib.machinery.SourceFileLoader):
    """Leaves no `__pycache__` beside the user's file (a publication may hold no other file), and reads none."""

    def path_stats(self, path: Any) -> Any:
        raise OSError("no byte code is kept")


def _same_definition(old: Any, new: Any) -> bool:
    """Whether a file that was imported anew registers its own class again."""
    return old is not None and getattr(old, "__qualname__", 0) == getattr(new, "__qualname__", 1)
