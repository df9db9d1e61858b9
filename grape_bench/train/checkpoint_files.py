"""The checkpoints of one job on disk. Without torch until one is read or written: schedulers delete them, too."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError

KEPT = 2


@dataclass(frozen=True)
class CheckpointFolder:
    """Where a job's checkpoints lie; only those with an equal `stamp` are its own."""

    folder: Path
    stamp: str = ""

    def files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("checkpoint-*.pt"), reverse=True)

    def write(self, state: dict[str, Any], step: int) -> None:
        """Write `state` in one step and keep the one before it; raises OSError."""
        import torch

        path = self.folder / f"checkpoint-{step:09d}.pt"
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                torch.save({"stamp": self.stamp, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        """The newest state that can be read and has this stamp; None where there is none."""
        import torch

        for path in self.files():
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # a file cut short raises many things
                print(f"{path.name} cannot be read, an older one is tried: {error}", file=sys.stderr)
                continue
            if content["stamp"] == self.stamp:
                state: dict[str, Any] = content["state"]
                return state
            print(f"{path.name} is of other software or hardware: not used", file=sys.stderr)
        return None

    def clear(self) -> None:
        """Delete all of them, drafts of killed processes too."""
        for path in (*self.files(), *self.folder.glob(".checkpoint-*")):
            path.unlink(missing_ok=True)


_FORM = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|epochs?)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Period:
    """Every so many `seconds`, or every so many `epochs`, or, with neither, never."""

    seconds: float | None = None
    epochs: int | None = None

    @classmethod
    def parse(cls, text: str, *, where: str = "") -> Period:
        """The period that `text` means, such as `60s`, `5min`, `1h`, `2epochs`, `never`; raises UserError."""
        if text == "never":
            return cls()
        match = _FORM.fullmatch(text)
        if match is None:
            raise UserError(f"{text!r} is not a period", where=where, allowed="60s, 5min, 1h, 1epoch, 10epochs, never")
        number, unit = match.groups()
        if unit in _SECONDS:
            return cls(seconds=float(number) * _SECONDS[unit])
        if not number.isdigit() or number == "0":
            raise UserError(f"{text!r}: a whole number of epochs, at least 1", where=where)
        return cls(epochs=int(number))

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g}s"
        return "never" if self.epochs is None else f"{self.epochs}epochs"
