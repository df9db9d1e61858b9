"""A part of a plan, for machines that share no scheduler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from grape_bench.errors import UserError
from grape_bench.record.job import Job

_FOLDER = re.compile(r"(?P<suite>.+)\.shard-(?P<index>\d+)-of-(?P<count>\d+)")


@dataclass(frozen=True)
class Shard:
    """Number `index` (from 1) of `count` parts."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`"2/4"`; raises UserError."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        index, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= index <= count:
            what = f"{text!r} is not a part of a whole"
            raise UserError(what, where="--shard", allowed="i/n with i from 1 to n", hint="--shard 1/4")
        return cls(index, count)

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Every `count`-th job: a function of the plan alone, so that the parts need not know each other."""
        return list(jobs[self.index - 1 :: self.count])

    def folder(self, suite: str) -> str:
        """The name of the part's own folder, `quickstart.shard-2-of-4`."""
        return f"{suite}.shard-{self.index}-of-{self.count}"


def whole(folder: str) -> str | None:
    """The suite of a shard's folder by its name; None for another's."""
    found = _FOLDER.fullmatch(folder)
    return found["suite"] if found else None
