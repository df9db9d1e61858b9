"""The memory and time to attach a rule to a big model. Writes the table of docs/feedback.md.

python -m benchmarks.feedback            every row, a process each
python -m benchmarks.feedback MODEL RULE [KIND]    one row, printed
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import grape_bench as gb
from grape_bench.cost.memory import PeakMemory
from grape_bench.network.block import PREFIX
from grape_bench.network.trace import as_batch

PAGE = Path(__file__).parents[1] / "docs" / "feedback.md"
MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "resnet50": (lambda: timm.create_model("resnet50", num_classes=1000), lambda: torch.randn(4, 3, 224, 224)),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config()), lambda: {"input_ids": torch.randint(50257, (4, 128))}),
}
ROWS = [(model, *rule) for model in MODELS for rule in (("fa",), ("dfa",), ("grape",))] + [
    (model, "dfa", kind) for model in MODELS for kind in ("slice", "low-rank", "seeded")
]
HEAD = """# Feedback of big models

Feedback matrices take memory, and drawing them takes time. This page shows how much on two big models, so that you can
choose how to store yours ([rules.md](rules.md#direct-feedback) lists the ways). ResNet-50 gets four images at 224 × 224
with 1,000 classes. GPT-2 has 50,257 tokens and gets four sequences of 128. Both run in float32 on one CPU thread with
torch {torch}.

- *MiB* is the size of the rule's buffers.
- *peak* is the highest resident memory while attaching, above the memory before. It includes the trace's forward.
- *÷ weights* gives both as a share of the model's own weights.
- *attach ÷ forward* is the time to attach ÷ the time of a forward without a graph (medians of three).

| model | rule | feedback | stored as | MiB | ÷ weights | peak MiB | ÷ weights | attach ÷ forward |
|---|---|---|---|---|---|---|---|---|
"""


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    if arguments:
        print(row(*arguments))
        return
    rows = []
    for arguments in map(list, ROWS):
        command = [sys.executable, "-m", "benchmarks.feedback", *arguments]
        rows.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])
        print(rows[-1], flush=True)
    PAGE.write_text(HEAD.format(torch=torch.__version__) + "\n".join(rows) + FOOT)


def row(name: str, rule: str, kind: str = "") -> str:
    """Attach `rule` to the model called `name`, first in fresh memory, then three times for the clock."""
    make, example = MODELS[name]
    model, batch = make(), example()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    settings = {"feedback": kind} if kind else {}
    memory = PeakMemory(torch.device("cpu"))
    net = gb.attach(model, gb.make_rule(rule, **settings), batch)
    peak = memory.measure()["peak_bytes"]
    kept = sum(b.numel() * b.element_size() for n, b in model.named_buffers() if PREFIX in n)
    first = next(iter(net.feedback().values())).kind
    net.detach()

    def attach() -> None:
        gb.attach(model, gb.make_rule(rule, **settings), batch).detach()

    def forward() -> None:
        args, kwargs = as_batch(batch)
        with torch.no_grad():
            model(*args, **kwargs)

    ratio = median(attach) / median(forward)
    sizes = f"{kept / 2**20:.1f} | {kept / weights:.2f} | {peak / 2**20:.0f} | {peak / weights:.2f}"
    return f"| {name} | {rule} | {kind or 'auto'} | {first} | {sizes} | {ratio:.2f} |"


def median(action: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


FOOT = """

Written by `python -m benchmarks.feedback`.
"""

if __name__ == "__main__":
    main(sys.argv[1:])
