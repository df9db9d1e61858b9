"""Shards of a plan, for machines that do not share a scheduler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from grape_bench.errors import UserError
from grape_bench.record.job import Job

_FOLDER = re.compile(r"(?P<suite>.+)\.shard-(?P<index>\d+)-of-(?P<count>\d+)")


@dataclass(frozen=True)
class Shard:
    """Shard number `index` (from 1) out of `count`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that `text` names, such as `"2/4"`. Raises UserError."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        index, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= index <= count:
            what = f"{text!r} is not a shard"
            raise UserError(what, where="--shard", allowed="i/n with i from 1 to n", hint="--shard 1/4")
        return cls(index, count)

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Every `count`-th job. This depends on the plan alone, so the shards need no communication."""
        return list(jobs[self.index - 1 :: self.count])

    def folder(self, suite: str) -> str:
        """The name of the shard's own folder, such as `quickstart.shard-2-of-4`."""
        return f"{suite}.shard-{self.index}-of-{self.count}"


def whole(folder: str) -> str | None:
    """The suite's name if `folder` is the name of a shard's folder, else None."""
    found = _FOLDER.fullmatch(folder)
    return found["suite"] if found else None
