"""The checkpoints of one job on disk. Without torch until one is read or written: schedulers delete them, too."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grape_bench.record.write import replacing

KEPT = 2


@dataclass(frozen=True)
class Place:
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
        with replacing(path) as draft:
            torch.save({"stamp": self.stamp, "state": state}, draft)
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
        for path in (*self.files(), *self.folder.glob(".*.checkpoint-*")):
            path.unlink(missing_ok=True)
