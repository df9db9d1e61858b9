"""Where suite files and tuned settings lie."""

from __future__ import annotations

from pathlib import Path

import grape_bench
from grape_bench.errors import UserError, unknown


def suite_folders() -> list[Path]:
    """The folders that are searched, first match wins: `./suites`, then those that come with the package."""
    return _folders("suites")


def baseline_folders() -> list[Path]:
    """Where tuned settings are looked for, in a folder per suite: `./baselines`, then those that come along."""
    return _folders("baselines")


def _folders(name: str) -> list[Path]:
    return list(dict.fromkeys((Path(name), shipped(name))))


def shipped(name: str) -> Path:
    """The folder of the `suites` or `baselines` that come with the package."""
    package = Path(grape_bench.__file__).parent
    # A wheel has them inside; in an editable installation they are beside the package.
    return package / f"_{name}" if (package / f"_{name}").is_dir() else package.parent / name


def suite_files() -> dict[str, Path]:
    """Every suite that can be run by name."""
    found: dict[str, Path] = {}
    for folder in suite_folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def find_suite(reference: str) -> Path:
    """The file of a suite given by name or as a path that ends in `.toml`; UserError where there is none."""
    if reference.endswith(".toml"):
        path = Path(reference)
        if not path.is_file():
            raise UserError(f"no suite file {reference!r}", hint="grape-bench list suites")
        return path
    files = suite_files()
    if reference not in files:
        raise unknown("suite", reference, files, hint="grape-bench list suites, or the path of a .toml file")
    return files[reference]
