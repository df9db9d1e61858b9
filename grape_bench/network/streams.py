"""The random streams of one attached rule."""

from __future__ import annotations

from typing import Any

import torch

from grape_bench.streams import stream_seed


class RandomStreams:
    """One generator per named stream and device, seeded from `seed` at its first use.

    A rule draws its feedback and its perturbations here, so it never advances the global generators. The same seed
    gives the same numbers in every process: stream "feedback" of seed 3 starts at `stream_seed(3, "feedback")`. If
    several processes train one network, each draws its own perturbations and its own numbers of the rule: see `split`.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.rank = seed, 0
        self._generators: dict[tuple[str, str], torch.Generator] = {}

    def generator(self, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
        """The generator of `stream` on `device`. It continues after its last draw.

        Draws on the meta device have no data and accept any generator. They get the one on the CPU.
        """
        key = stream, "cpu" if torch.device(device).type == "meta" else str(device)
        if key not in self._generators:
            self._generators[key] = torch.Generator(key[1]).manual_seed(self._start(stream))
        return self._generators[key]

    def _start(self, stream: str) -> int:
        own = stream.partition("/")[0] in ("perturbation", "rule")
        return stream_seed(self.seed, stream) + (self.rank if own else 0)

    def split(self, rank: int) -> None:
        """Make process number `rank` of a training draw its own numbers in streams that concern its own samples."""
        if rank:
            self.rank = rank
            self.reseed(self.seed)

    def on(self, device: torch.device) -> list[torch.Generator]:
        """The generators used so far that live on `device`."""
        return [generator for generator in self._generators.values() if generator.device == device]

    def reseed(self, seed: int) -> None:
        """Restart every stream from `seed`. References to the generators stay valid."""
        self.seed = seed
        for (stream, _), generator in self._generators.items():
            generator.manual_seed(self._start(stream))

    def positions(self) -> list[tuple[str, str, torch.Tensor]]:
        """(stream, device, generator state) of each stream used so far."""
        return [(*key, generator.get_state()) for key, generator in self._generators.items()]

    def restore(self, seed: int, positions: list[Any]) -> None:
        """Continue from a `seed` and the `positions` that were saved with it."""
        self.reseed(seed)
        for stream, device, position in positions:
            self.generator(stream, device).set_state(position)
