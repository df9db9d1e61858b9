"""The cost of a rule's step relative to a plain training loop, on a small network where Python's share is large.

    python -m benchmarks.overhead                  this checkout
    python -m benchmarks.overhead path/to/another  the grape_bench in another checkout, for before and after

Each round takes a few steps of every rule in turn, in one process and on one thread. A number is the median over rounds
of the CPU time ÷ that of a loop without grape_bench. docs/speed.md has the numbers.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROUNDS, WARM_UP = 100, 16
PLAIN, FUSED = "plain loop", "plain loop, fused AdamW"
RULES = ("bp", "dfa", "fa", "grape-lazy", "grape", "brsf", "kp", "wm")


@dataclass(frozen=True)
class Small:
    """A small network, its steps per round, and the limits on each rule's time ÷ that of the plain loop."""

    title: str
    model: Callable[[], Any]
    shape: tuple[int, ...]
    steps: int
    aims: dict[str, float] = field(default_factory=dict)


def mlp() -> Any:
    from grape_bench.models.mlp import MLP

    return MLP((64,), 10, hidden=(64, 64, 64))


def vit() -> Any:
    import timm

    sizes = {"img_size": 8, "patch_size": 2, "in_chans": 1, "embed_dim": 64, "depth": 4, "num_heads": 4}
    return timm.create_model("vit_tiny_patch16_224", num_classes=10, **sizes)


NETWORKS = {
    "small-mlp": Small("MLP 64-64-64", mlp, (64,), 8, {"bp": 1.03, "dfa": 1.12, "fa": 1.12, "grape-lazy": 1.30}),
    "small-vit": Small("ViT of the digits, 4 blocks, 16 patches", vit, (1, 8, 8), 1, {"dfa": 1.02, "grape-lazy": 1.12}),
}


def step_of(small: Small, rule: str) -> Callable[[], None]:
    """One training step on a batch of 64, with AdamW."""
    import torch
    import torch.nn.functional as F

    import grape_bench as gb

    torch.manual_seed(0)
    model, x, y = small.model(), torch.randn(64, *small.shape), torch.randint(10, (64,))
    if rule not in (PLAIN, FUSED):
        gb.attach(model, rule, x[:4]).begin_epoch(10**6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=rule == FUSED or None)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def measured(small: Small, rounds: int = ROUNDS) -> dict[str, tuple[float, float, float]]:
    """Each rule's quartiles of its CPU time ÷ that of the plain loop, and the plain loop's own times in ms."""
    steps = {rule: step_of(small, rule) for rule in (PLAIN, FUSED, *RULES)}
    for _ in range(WARM_UP):
        for step in steps.values():
            step()
    seconds: dict[str, list[float]] = {rule: [] for rule in steps}
    for _ in range(rounds):
        for rule, step in steps.items():
            start = time.process_time()
            for _ in range(max(8, small.steps) if rule == "grape-lazy" else small.steps):  # a whole period of refreshes
                step()
            taken = time.process_time() - start
            seconds[rule].append(taken * small.steps / 8 if rule == "grape-lazy" else taken)
    found = {PLAIN: _quartiles([1000 * one / small.steps for one in seconds[PLAIN]])}
    for rule in (FUSED, *RULES):
        found[rule] = _quartiles([own / plain for own, plain in zip(seconds[rule], seconds[PLAIN], strict=True)])
    return found


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def main() -> None:
    """Print the ratios, one line of JSON per network."""
    sys.path.insert(0, str(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).parents[1]))
    import torch

    torch.set_num_threads(1)
    for name, small in NETWORKS.items():
        rounds = ROUNDS if small.steps > 1 else ROUNDS // 4
        ratios = {rule: round(middle, 3) for rule, (_, middle, _) in measured(small, rounds).items()}
        print(json.dumps({name: ratios}), flush=True)


if __name__ == "__main__":
    main()
