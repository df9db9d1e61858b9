"""Check that a submission only adds new publications to the repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.publish.index import INDEX, VERIFICATIONS
from grape_bench.track.references import SUPERSEDED

PLACE = re.compile(r"results/([a-z0-9][a-z0-9._-]*)/([A-Za-z0-9][A-Za-z0-9._+-]*)/.+", re.ASCII)
"""The path of a file of a publication: results/SUITE/RULE/FILE."""

REGULAR, ABSENT = "100644", "000000"
"""Git's modes of a regular file without the executable bit, and of no file."""


@dataclass(frozen=True)
class Change:
    """A changed path: its mode before and after, and git's letter for the kind of change."""

    path: str
    before: str
    after: str
    kind: str


def submitted(repository: Path, base: str) -> list[Path]:
    """The publications that the commits since `base` add to `repository`.

    Raises UserError, with every reason, if the commits change anything else, or if git knows no `base`.
    """
    changes = _changes(repository, base)
    before = _git(repository, "ls-tree", "-rz", "--name-only", base).split("\0")
    known = {_folder(path).casefold() for path in before}
    refused = [f"{change.path!r}: {why}" for change in changes if (why := _refusal(change, known))]
    folders = sorted({_folder(change.path) for change in changes})
    if not refused:
        refused = [f"{one!r}: no {INDEX}" for one in folders if not (repository / one / INDEX).is_file()]
    if refused:
        allowed = "a new folder results/SUITE/RULE, as `grape-bench publish` writes it"
        raise UserError("\n  ".join(["not part of a submission:", *refused]), where=f"since {base}", allowed=allowed)
    return [repository / folder for folder in folders]


def _refusal(change: Change, known: set[str]) -> str:
    """Why a submission may not change this, or ""."""
    if change.kind == "D" or change.after == ABSENT:
        return "a submission deletes nothing"
    if change.after != REGULAR:
        return "not a regular file (a link, an executable or another repository)"
    if not PLACE.fullmatch(change.path) or ".." in change.path:
        return "outside results/SUITE/RULE, or an unusual name"
    if _folder(change.path).casefold() in known:
        return "this folder is already here; only a maintainer replaces a publication"
    if change.path.split("/")[1] in (SUPERSEDED, VERIFICATIONS):
        return "only a maintainer writes here"
    return ""


def _folder(path: str) -> str:
    """The folder results/SUITE/RULE of a path. Some file systems treat names that differ only in case as equal."""
    return "/".join(path.split("/")[:3])


def _changes(repository: Path, base: str) -> Sequence[Change]:
    """Every path that differs from where the branch left `base`. Renames count as a deletion and an addition."""
    words = _git(repository, "diff", "--raw", "-z", "--no-renames", "--no-ext-diff", f"{base}...HEAD").split("\0")
    pairs = zip(words[::2], words[1::2], strict=False)
    found = [(modes.lstrip(":").split(), path) for modes, path in pairs]
    return [Change(path, modes[0], modes[1], modes[4]) for modes, path in found]


def _git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"git: {message[0] if message else 'failed'}", where=str(repository), hint="--since COMMIT")
    return done.stdout.decode("utf-8", "surrogateescape")
