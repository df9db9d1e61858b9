"""Find suite files and the folders with tuned settings."""

from __future__ import annotations

from pathlib import Path

import grape_bench
from grape_bench.errors import UserError, unknown


def suite_folders() -> list[Path]:
    """The folders to search for a suite, in order: `./suites`, then the suites that ship with the package."""
    return _folders("suites")


def baseline_folders() -> list[Path]:
    """The folders to search for tuned settings, in order: `./baselines`, then those that ship with the package.

    Each holds one folder per suite.
    """
    return _folders("baselines")


def _folders(name: str) -> list[Path]:
    return list(dict.fromkeys((Path(name), shipped(name))))


def shipped(name: str) -> Path:
    """The folder of the `suites`, `baselines` or `claims` that ship with the package."""
    package = Path(grape_bench.__file__).parent
    # A wheel contains them. In an editable installation they are next to the package.
    return package / f"_{name}" if (package / f"_{name}").is_dir() else package.parent / name


def suite_files() -> dict[str, Path]:
    """Every suite that can be run by name, with its file."""
    found: dict[str, Path] = {}
    for folder in suite_folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def find_suite(reference: str) -> Path:
    """The file of the suite `reference`, a name or a path that ends in `.toml`. Raises UserError if there is none."""
    if reference.endswith(".toml"):
        path = Path(reference)
        if not path.is_file():
            raise UserError(f"no suite file {reference!r}", hint="grape-bench list suites")
        return path
    files = suite_files()
    if reference not in files:
        raise unknown("suite", reference, files, hint="grape-bench list suites, or the path of a .toml file")
    return files[reference]
