"""What a rule's step costs next to a plain training loop on a small network, where Python counts.

    python -m benchmarks.overhead                  this checkout
    python -m benchmarks.overhead path/to/another  the grape_bench in another checkout, for before and after

Each round takes eight steps of every rule in turn, in one process and on one thread. A number is the median over rounds
of the time ÷ that of a loop without grape_bench. docs/speed.md has the numbers.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS, STEPS, WARM_UP = 150, 8, 30
RULES = ("plain", "bp", "dfa", "fa", "local", "grape-lazy")


def step_of(rule: str) -> Callable[[], None]:
    """One training step of an MLP 64-64-64 on a batch of 64."""
    import torch
    import torch.nn.functional as F

    import grape_bench as gb
    from grape_bench.models.mlp import MLP

    torch.manual_seed(0)
    model, x, y = MLP((64,), 10, hidden=(64, 64, 64)), torch.randn(64, 64), torch.randint(10, (64,))
    if rule != "plain":
        gb.attach(model, rule, x[:4]).begin_epoch(10**6)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def main() -> None:
    """Print the ratios as one line of JSON."""
    sys.path.insert(0, str(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).parents[1]))
    import torch

    torch.set_num_threads(1)
    steps = {rule: step_of(rule) for rule in RULES}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    seconds: dict[str, list[float]] = {rule: [] for rule in RULES}
    for _ in range(ROUNDS):
        for rule, step in steps.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            seconds[rule].append(time.perf_counter() - start)
    ratios = {
        rule: statistics.median(own / plain for own, plain in zip(seconds[rule], seconds["plain"], strict=True))
        for rule in RULES[1:]
    }
    print(json.dumps({rule: round(ratio, 3) for rule, ratio in ratios.items()}))


if __name__ == "__main__":
    main()
