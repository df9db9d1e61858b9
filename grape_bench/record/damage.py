"""Read files that may be damaged: half-written by a killed process, or overwritten by something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.record.typed_json import ShapeError

SUFFIX = ".damaged"


class DamagedError(UserError):
    """Raised for a file whose content the program cannot have written. `where` is its path."""

    @property
    def path(self) -> Path:
        """The damaged file."""
        return Path(self.where)


@contextmanager
def checked(path: Path, hint: str) -> Iterator[None]:
    """Turn any error in the content of the file at `path` into a DamagedError with `hint`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise damaged(path, "it is not UTF-8 text", hint) from error
    except json.JSONDecodeError as error:
        raise damaged(path, f"it is not JSON ({error.msg}, line {error.lineno})", hint) from error
    except RecursionError as error:
        raise damaged(path, "it is nested too deeply", hint) from error
    except ShapeError as error:
        raise damaged(path, str(error), hint) from error
    except ValueError as error:  # such as an integer with thousands of digits
        raise damaged(path, str(error), hint) from error


def damaged(path: Path, why: str, hint: str) -> DamagedError:
    """The error for the file at `path`."""
    return DamagedError(f"this file is damaged: {why}", where=str(path), hint=hint)


def set_aside(path: Path) -> Path:
    """Rename `path` so that the program no longer reads it. Returns the new path. Raises OSError."""
    target, number = path.with_name(path.name + SUFFIX), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}{SUFFIX}.{number}")
    path.rename(target)
    return target
