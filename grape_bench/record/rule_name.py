"""Parse the name of a rule."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from grape_bench.registry import is_file_reference

ANCHOR = "+anchor"
FINISH = "+finish"
FROZEN = "frozen"
"""The control whose job fits a head on the untrained model instead of training it."""


@dataclass(frozen=True)
class RuleName:
    """A rule as a user writes it: `grape`, `dfa+anchor`, `path/to/my.py:MyRule+anchor`, `dfa+anchor+finish`.

    `base` is the registered name or the class name. `file` is the path of the user's file, or "" for a registered rule.
    `anchored` and `finished` tell whether the name has `+anchor`, and whether it ends in `+finish`.
    """

    base: str
    file: str = ""
    anchored: bool = False
    finished: bool = False

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str) -> RuleName:
        """The parsed `text`, which need not name a known rule."""
        finished, text = text.endswith(FINISH), text.removesuffix(FINISH)
        anchored, reference = text.endswith(ANCHOR), text.removesuffix(ANCHOR)
        if not is_file_reference(reference):
            return RuleName(reference, anchored=anchored, finished=finished)
        file, _, base = reference.rpartition(":")
        return RuleName(base, file, anchored, finished)

    @property
    def reference(self) -> str:
        """The name in the registry of rules: `grape`, or `path/to/my.py:MyRule`."""
        return f"{self.file}:{self.base}" if self.file else self.base

    @cached_property
    def label(self) -> str:
        """The name without the path of its file, such as `MyRule+anchor`."""
        return self.base + self._suffix

    @property
    def labels(self) -> list[str]:
        """The labels whose settings apply, the most special one last: `dfa`, `dfa+anchor`, `dfa+anchor+finish`."""
        bare = replace(self, anchored=False, finished=False)
        return list(dict.fromkeys([bare.label, replace(self, finished=False).label, self.label]))

    @property
    def file_label(self) -> str:
        """The label, safe for use in a file name."""
        return re.sub(r"[^A-Za-z0-9_+-]", "-", self.label)

    def moved(self, file: Path) -> RuleName:
        """The same class in a copy of its file."""
        return replace(self, file=str(file))

    def __str__(self) -> str:
        return self.reference + self._suffix

    @property
    def _suffix(self) -> str:
        return ANCHOR * self.anchored + FINISH * self.finished
