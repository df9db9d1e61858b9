"""Every run used a clean commit, which an anonymous publication withholds, or an installed version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grape_bench.errors import UserError
from grape_bench.publish.anonymous import WITHHELD
from grape_bench.publish.card import ANONYMOUS
from grape_bench.publish.pack import constraints
from grape_bench.publish.submission import CONSTRAINTS, Submission, published_text
from grape_bench.record.environment import INSTALLED, Hardware, hardware_class

FEWEST_DIGITS = 9
"""The fewest different digits in the hash of a commit."""


VERSION = re.compile(r"\d+(\.\w+)+([.+!-]\w+)*", re.ASCII)
"""The version of a package, such as 2.14.1 or 2.14.0.dev1+cpu."""


def problems(submission: Submission) -> Iterator[str]:
    """Check the git state, the versions and the hardware of every record."""
    withheld = submission.card.paper == ANONYMOUS
    for name, record in submission.records.items():
        git, packages = record.environment.git, record.environment.packages
        installed = git == INSTALLED and "grape-bench" in packages
        if not installed and not _is_commit(git.commit) and not (withheld and git.commit == WITHHELD):
            yield f"{name}: the commit is unknown"
        if not installed and git.dirty is not False:
            yield f"{name}: the checkout had uncommitted changes"
        if "torch" not in packages:
            yield f"{name}: the version of torch is not recorded"
        versions = {"python": record.environment.python, **packages}
        for package in [one for one, version in versions.items() if not VERSION.fullmatch(version)]:
            yield f"{name}: {versions[package]!a} is no version of {package!a}"
        if why := _hardware(record.environment.hardware):
            yield f"{name}: {why}"
    yield from _constraints(submission)


def _constraints(submission: Submission) -> Iterator[str]:
    """Publications of earlier versions have no constraints.txt."""
    if not (submission.folder / CONSTRAINTS).exists():
        return
    try:
        text = published_text(submission.folder / CONSTRAINTS)
    except UserError as error:
        yield f"{CONSTRAINTS}: {error.what}"
        return
    if text not in {constraints(record) for record in submission.own.values()}:
        yield f"{CONSTRAINTS} does not list the packages of the runs"


def _is_commit(text: str) -> bool:
    """Whether `text` can be the hash of a commit. One hash in a hundred million has fewer different digits."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text)) and len({*text}) >= FEWEST_DIGITS


def _hardware(hardware: Hardware) -> str:
    """Why this cannot be the description of a machine, or ""."""
    if not hardware.kind:
        return "the hardware is not recorded"
    if hardware.cores < 1 or hardware.threads < 1:
        return f"{hardware.cores} cores, {hardware.threads} threads"
    machine = hardware_class(hardware.cpu, hardware.cores, hardware.gpu)
    if not (hardware.kind == machine if hardware.gpu is None else hardware.kind.startswith(f"{machine} ")):
        return f"the hardware class is {hardware.kind!a}, but the machine is {hardware.gpu or machine!a}"
    return ""
