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
HEAD_ONLY = "head-only"
"""The control that trains only the head, with the rule's own budget."""
OPEN = "open"
"""The variant of a rule with open settings, which anyone may send. No suite may use this name for its own."""


@dataclass(frozen=True)
class RuleName:
    """A rule as a user writes it: `grape`, `dfa+anchor+finish`, `grape:p4`, `path/to/my.py:MyRule+anchor`.

    `base` is the registered name or the class name. `file` is the path of the user's file, or "" for a registered rule.
    `anchored` and `finished` tell whether the name has `+anchor`, and whether it ends in `+finish`. `variant` is a
    suite's name for other settings of the rule, as in `grape:p4`.
    """

    base: str
    file: str = ""
    anchored: bool = False
    finished: bool = False
    variant: str = ""

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str) -> RuleName:
        """The parsed `text`, which need not name a known rule."""
        finished, text = text.endswith(FINISH), text.removesuffix(FINISH)
        anchored, reference = text.endswith(ANCHOR), text.removesuffix(ANCHOR)
        file = ""
        if is_file_reference(reference):
            folder, _, rest = reference.rpartition(".py:")
            file, reference = f"{folder}.py", rest
        base, _, variant = reference.partition(":")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", variant):
            base, variant = reference, ""
        return RuleName(base, file, anchored, finished, variant)

    @property
    def reference(self) -> str:
        """The name in the registry of rules: `grape`, or `path/to/my.py:MyRule`."""
        return f"{self.file}:{self.base}" if self.file else self.base

    @cached_property
    def label(self) -> str:
        """The name without the path of its file, such as `MyRule:p4+anchor`."""
        return self.base + self._suffix

    @property
    def variant_label(self) -> str:
        """The label without anchors and finish, such as `grape:p4`, or "" if the rule is no variant."""
        return f"{self.base}:{self.variant}" if self.variant else ""

    @property
    def is_open(self) -> bool:
        """Whether this is a rule with open settings, such as `bp:open`."""
        return self.variant == OPEN

    @property
    def opened(self) -> RuleName:
        """The same rule with open settings."""
        return replace(self, variant=OPEN)

    @property
    def closed(self) -> RuleName:
        """The same rule without open settings: `bp` for `bp:open`, and any other rule itself."""
        return replace(self, variant="") if self.is_open else self

    @property
    def labels(self) -> list[str]:
        """The labels whose settings apply, the most specific one last: `dfa`, `dfa+anchor`, `dfa+anchor+finish`.

        For a variant, the labels of the plain rule come before its own.
        """
        every = (
            replace(self, variant=variant, anchored=anchored, finished=finished).label
            for variant in ("", self.variant)
            for anchored, finished in ((False, False), (self.anchored, False), (self.anchored, self.finished))
        )
        return list(dict.fromkeys(every))

    @property
    def file_label(self) -> str:
        """The label, safe for use in a file name. No registered name has two hyphens in a row."""
        return re.sub(r"[^A-Za-z0-9_+-]", "-", self.label.replace(":", "--"))

    def moved(self, file: Path) -> RuleName:
        """The same class in a copy of its file."""
        return replace(self, file=str(file))

    def __str__(self) -> str:
        return self.reference + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.variant}" if self.variant else "") + ANCHOR * self.anchored + FINISH * self.finished
