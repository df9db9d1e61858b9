"""Where a job's checkpoints are, and how often they are written. Imports torch only to read or write one."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.write import replacing

KEPT = 2


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoint files of a job. Files with another `stamp` (other software or hardware) are not read."""

    folder: Path
    stamp: str = ""

    def files(self) -> list[Path]:
        """The checkpoint files, the newest first."""
        return sorted(self.folder.glob("checkpoint-*.pt"), reverse=True)

    def write(self, state: dict[str, Any], step: int) -> None:
        """Write `state` atomically and keep the previous checkpoint. Raises OSError."""
        import torch

        path = self.folder / f"checkpoint-{step:09d}.pt"
        with replacing(path) as draft:
            torch.save({"stamp": self.stamp, "state": state}, draft)
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        """The newest readable state with this stamp, or None."""
        import torch

        for path in self.files():
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # a truncated file raises many kinds of errors
                print(f"cannot read {path.name}, trying an older checkpoint: {error}", file=sys.stderr)
                continue
            if content["stamp"] == self.stamp:
                state: dict[str, Any] = content["state"]
                return state
            print(f"ignoring {path.name}: it was written by other software or on other hardware", file=sys.stderr)
        return None

    def clear(self) -> None:
        """Delete all checkpoints, including drafts of killed processes."""
        for path in (*self.files(), *self.folder.glob(".*.checkpoint-*")):
            path.unlink(missing_ok=True)


_FORM = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|epochs?)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Period:
    """Every `seconds`, or every `epochs`. With neither: never."""

    seconds: float | None = None
    epochs: int | None = None

    @classmethod
    def parse(cls, text: str, *, where: str = "") -> Period:
        """Parse `60s`, `5min`, `1h`, `2epochs` or `never`. Raises UserError."""
        if text == "never":
            return cls()
        match = _FORM.fullmatch(text)
        if match is None:
            raise UserError(f"{text!r} is not a period", where=where, allowed="60s, 5min, 1h, 1epoch, 10epochs, never")
        number, unit = match.groups()
        if unit in _SECONDS:
            return cls(seconds=float(number) * _SECONDS[unit])
        if not number.isdigit() or number == "0":
            raise UserError(f"{text!r} is not a whole number of epochs", where=where, allowed="1epoch, 2epochs, ...")
        return cls(epochs=int(number))

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g}s"
        return "never" if self.epochs is None else f"{self.epochs}epochs"
