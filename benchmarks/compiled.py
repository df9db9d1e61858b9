"""Where `torch.compile` helps: steps of compiled models next to uncompiled ones, in one process.

    python -m benchmarks.compiled                  this checkout, about ten minutes; writes to docs/speed.md
    python -m benchmarks.compiled path/to/another  the grape_bench in another checkout, for before and after

All variants take steps in turns, on one thread. A number is the median over rounds of the CPU time ÷ that of an
uncompiled step of BP. Models are compiled before the first round.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS, WARM_UP, BATCH, DEPTH = 24, 3, 16, 6
RULES = ("bp", "dfa", "fa", "grape-lazy", "grape")


def step_of(rule: str, compiles: bool) -> Callable[[], None]:
    """One training step of a ViT with 6 blocks and 64 patches, with SGD."""
    import timm
    import torch
    import torch.nn.functional as F

    import grape_bench as gb

    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=10, img_size=32, patch_size=4, depth=DEPTH)
    x, y = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    gb.attach(model, rule, x[:4]).begin_epoch(10**6)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    call: Any = torch.compile(model) if compiles else model

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(call(x), y).backward()
        optimizer.step()

    return step


def measured() -> dict[tuple[str, bool], list[float]]:
    """The CPU seconds of each variant (rule, compiled or not) in each round."""
    made = {(rule, compiles): step_of(rule, compiles) for rule in RULES for compiles in (False, True)}
    for variant, step in made.items():
        for _ in range(WARM_UP if variant[1] else 1):
            step()
    seconds: dict[tuple[str, bool], list[float]] = {variant: [] for variant in made}
    for _ in range(ROUNDS):
        for variant, step in made.items():
            start = time.process_time()
            step()
            seconds[variant].append(time.process_time() - start)
    return seconds


def table(seconds: dict[tuple[str, bool], list[float]]) -> str:
    """The ratios in Markdown. A lazy rule refreshes in one round of eight, so its rounds are averaged by eight."""
    bp = seconds["bp", False]
    lines = ["| rule | uncompiled | compiled |", "|---|---|---|"]
    for rule in RULES:
        cells = [f"{_ratio(seconds[rule, compiles], bp, rule):.2f}" for compiles in (False, True)]
        lines.append(f"| `{rule}` | {' | '.join(cells)} |")
    return "\n".join([f"A step of BP, uncompiled: {1000 * statistics.median(bp):.0f} ms of CPU time.", "", *lines, ""])


def _ratio(own: list[float], bp: list[float], rule: str) -> float:
    size = 8 if rule == "grape-lazy" else 1
    starts = range(0, len(own) - size + 1, size)
    return statistics.median(sum(own[start : start + size]) / sum(bp[start : start + size]) for start in starts)


def main() -> None:
    """Print the table, and write it to the docs if it is from this checkout."""
    sys.path.insert(0, str(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).parents[1]))
    import torch

    torch.set_num_threads(1)
    torch._dynamo.config.recompile_limit = 64  # the models of all variants share the limit
    text = table(measured())
    print(text, flush=True)
    if len(sys.argv) == 1:
        from benchmarks import page

        page.write("speed.md", "compiled", f"\n{text}\nMeasured on {page.machine()}.\n")


if __name__ == "__main__":
    main()
