"""Remove what identifies the author or machine from records, for double-blind review. Every job keeps its id."""

from __future__ import annotations

import re
from dataclasses import replace

from grape_bench.publish.portable import portable
from grape_bench.record.environment import INSTALLED, Environment, Git
from grape_bench.record.record import Record
from grape_bench.record.status import Status

WITHHELD = "withheld"
"""Replaces the commit, and error messages, which may quote anything from the author's machine."""

_BUILD = re.compile(r"\+(?!(?:cpu|cu\d+|rocm[\d.]+|xpu)$).*")
"""The build in a version, such as `+computecanada` or `+g1a2b3c4`, except for the builds of PyTorch."""


def anonymous(record: Record) -> Record:
    """`record` without its commit, folders, error messages, kernel, package builds and Slurm job."""
    shown = portable(record, relative=True)
    said = record.diagnostics
    return replace(
        shown,
        reason=shown.reason if record.status is Status.DIVERGED or not record.reason else WITHHELD,
        lost=dict.fromkeys(record.lost, WITHHELD) if record.lost else record.lost,
        diagnostics=replace(said, failed=WITHHELD) if said and said.failed else said,
        environment=_anonymous_environment(record.environment),
    )


def _anonymous_environment(there: Environment) -> Environment:
    return replace(
        there,
        platform=there.platform.partition("-")[0],
        packages={name: _BUILD.sub("", version) for name, version in there.packages.items()},
        git=there.git if there.git == INSTALLED else Git(commit=WITHHELD, dirty=there.git.dirty),
        slurm=None,
    )
