"""A user's Python file: find the user's modules that it imports, hash them together, and load them."""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from typing_extensions import override

from grape_bench.errors import UserError, described

INIT = "__init__.py"


@dataclass(frozen=True)
class UserCode:
    """A user's file and the user's own modules that it imports, directly or indirectly.

    `files` maps names to paths. Copies with these names in one folder load like the originals. `absolute` holds the
    names of the modules that are imported by their own name. Installed modules count as libraries and are left out.
    """

    path: Path
    name: str  # of the file itself, in `files`
    files: Mapping[str, Path]
    absolute: Collection[str] = ()

    @property
    def digest(self) -> str:
        """16 hex digits of the content of all files. The name of the main file and all folders are left out."""
        hashes = {name: sha256(path.read_bytes()).hexdigest() for name, path in self.files.items()}
        own = hashes.pop(self.name)
        return sha256(json.dumps([own, hashes], sort_keys=True).encode()).hexdigest()[:16] if hashes else own[:16]


@dataclass(frozen=True)
class _Module:
    """A file, the folder that its name is relative to, and whether it is imported by its own name."""

    file: Path
    base: Path
    absolute: bool

    @property
    def name(self) -> str:
        return self.file.relative_to(self.base).as_posix()


def user_code(path: Path) -> UserCode:
    """The file `path` with the modules that it imports. Raises OSError if there is no such file.

    Import statements are only parsed, not executed. So an import with a computed name is not found.
    """
    file = path.resolve()
    root = _root(file)
    main = _Module(file, root, absolute=False)
    files = {main.name: file}
    found, waiting = {main}, [main]
    while waiting:
        for one in _imported(waiting.pop(), root):
            if files.setdefault(one.name, one.file) != one.file:
                what = f"it imports two modules with the name {one.name}: {files[one.name]} and {one.file}"
                raise UserError(what, where=str(path), hint="rename one of them")
            if one not in found:
                found.add(one)
                waiting.append(one)
    return UserCode(path, main.name, dict(sorted(files.items())), {one.name for one in found if one.absolute})


def _root(file: Path) -> Path:
    """The root folder of the file's imports: its own folder, or the parent of its package."""
    folder = file.parent
    if any(level for level, _, _ in _statements(file.read_bytes())):
        while (folder / INIT).is_file():
            folder = folder.parent
    return folder


def _imported(one: _Module, root: Path) -> Iterator[_Module]:
    """The user's modules that `one` imports."""
    package = PurePosixPath(one.name).parent.parts
    for level, module, names in _statements(one.file.read_bytes()):
        parts = tuple(module.split(".")) if module else ()
        if level > len(package) + 1:
            continue  # above the topmost package: the import itself fails
        if level:
            base: Path | None = one.base
            parts = (*package[: len(package) + 1 - level], *parts)
        else:
            base = _folder_of(parts[0], root)
        if base is not None:
            every = [parts[:depth] for depth in range(1, len(parts) + 1)] + [(*parts, name) for name in names]
            for place in (base.joinpath(*each) for each in every):
                file = place / INIT if (place / INIT).is_file() else place.with_name(f"{place.name}.py")
                if file.is_file():
                    yield _Module(file, base, absolute=not level or one.absolute)


def _folder_of(name: str, root: Path) -> Path | None:
    """The folder with the user's top-level module `name`: `root`, or one on Python's path. None for a library."""
    if name == "grape_bench" or name in sys.stdlib_module_names:
        return None
    folders = [Path(entry).resolve() for entry in sys.path]
    libraries = [folder for folder in folders if {"site-packages", "dist-packages"} & {*folder.parts}]
    for folder in (*libraries, root, *folders):
        if (folder / f"{name}.py").is_file() or (folder / name).is_dir():
            return None if folder in libraries else folder
    return None


@lru_cache(maxsize=1024)
def _statements(source: bytes) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    """The imports in `source` as (level, module, names): `from ..a import b` is (2, "a", ("b",))."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # loading the file reports it
        return ()
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            given = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
            found += [(0, name, ()) for name in given if isinstance(name, str) and _is_name(name)]
    return tuple(dict.fromkeys(found))


def _is_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def load_file(path: Path) -> Any:
    """Import a user's Python file as a module of its own. It is imported again only if its code has changed.

    Modules next to the file can be imported by name and relatively. Raises UserError if the import fails.
    """
    code = user_code(path)
    file = path.resolve()
    package = f"grape_bench_user_{sha256(f'{file} {code.digest}'.encode()).hexdigest()[:8]}"
    name = f"{package}.{_dotted(code.name)}"
    if name in sys.modules:
        return sys.modules[name]
    _FINDER.offer(package, code)
    try:
        return importlib.import_module(name)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"importing it raised {described(error)}", where=str(path)) from error


def _dotted(name: str) -> str:
    return name.removesuffix(f"/{INIT}").removesuffix(".py").replace("/", ".")


class _Finder(importlib.machinery.PathFinder):
    """Finds the modules of users' files, under their own names or, for relative imports, below one package per file.

    If two folders contain a module of the same name, the file that was loaded last gets its own.
    """

    def __init__(self) -> None:
        self._places: dict[str, Path] = {}
        self._contents: dict[str, tuple[Path, bytes]] = {}

    def offer(self, package: str, code: UserCode) -> None:
        """Make the modules of `code` importable. If one has changed, all are imported again."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        root = ModuleType(package)
        root.__path__ = [str(code.files[code.name].parents[code.name.count("/")])]
        sys.modules[package] = root
        self._places |= {f"{package}.{_dotted(name)}": path for name, path in code.files.items()}
        own = {_dotted(name): code.files[name] for name in code.absolute}
        contents = {name: (path, path.read_bytes()) for name, path in own.items()}
        if any(self._contents.get(name, content) != content for name, content in contents.items()):
            for name in own:
                sys.modules.pop(name, None)
        self._places |= own
        self._contents |= contents

    # `PathFinder` declares class methods. An instance on `sys.meta_path` is called in the same way.
    @override
    def find_spec(  # type: ignore[override]
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        place = self._places.get(fullname)
        if place is not None:
            folders = [str(place.parent)] if place.name == INIT else None
            loader = _UncachedLoader(fullname, str(place))
            return importlib.util.spec_from_file_location(
                fullname, place, loader=loader, submodule_search_locations=folders
            )
        for name, one in self._places.items():
            if name.startswith(f"{fullname}."):  # a folder without __init__.py
                module = one.parent if one.name == INIT else one
                spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
                spec.submodule_search_locations = [str(module.parents[name.count(".") - fullname.count(".") - 1])]
                return spec
        return None


class _UncachedLoader(importlib.machinery.SourceFileLoader):
    """Neither writes nor reads `__pycache__`, because a published folder must contain no extra files."""

    @override
    def path_stats(self, path: Any) -> Any:
        raise OSError("byte code is not cached")


_FINDER = _Finder()
