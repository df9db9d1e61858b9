"""Examine the engine on every architecture of the sweep and write docs/coverage.md.

python -m benchmarks.coverage [PART OF A NAME]
"""

import gc
import sys
import time
import warnings
from pathlib import Path

import timm
import torch
import transformers

from tests.network.architectures import ARCHITECTURES
from tests.network.coverage import EVERY_RULE, Findings, examine

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
HEAD = """# Coverage

One model per timm family and tiny transformers of every kind, examined with torch {torch}, timm {timm} and transformers
{transformers}. {held} of {total} hold everything; the others are named below. For each:

- **blocks** are found; **below**: the share of the weight matrices that they take out of backpropagation's reach.
- **oracle**: with BP's gradients injected at the cuts, every parameter's gradient is BP's (largest relative error; in
  float64 where float32 rounds more than 1e-5). With zeros injected, nothing below the cuts gets any gradient.
- **layers**: cuts of `granularity="layer"`, with the same oracle.
- **FA, B = W** is BP (largest relative error).
- One step of `{rules}` gives a finite gradient to every parameter that BP trains (`head-only` to
  those above the cuts), and BP's own to those that `net.report()` calls exact.
- The logits are equal to the bit before, while and after a rule is attached.
- **tangent**: forward-mode derivatives equal finite differences in float64 (relative error), at blocks' outputs that
  are moved away from the zeros that a ReLU leaves, so that the step meets hardly any kink.

Made by `python -m benchmarks.coverage`; `tox -e sweep` holds it.
"""


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    found = []
    for architecture in ARCHITECTURES:
        if sys.argv[1:] and sys.argv[1] not in architecture.name:
            continue
        start = time.perf_counter()
        found.append(examine(architecture))
        gc.collect()
        print(row(found[-1]), f"{time.perf_counter() - start:.1f} s", *found[-1].failures, flush=True)
    if not sys.argv[1:]:
        PAGE.write_text(page(found))


def row(findings: Findings) -> str:
    kept = "yes" if not findings.failures else "**no**"
    cuts = f"{findings.blocks} | {findings.below:.0%} | {findings.oracle:.0e}"
    layers = f"{findings.layers} | {findings.layer_oracle:.0e}"
    return f"| {findings.name} | {cuts} | {layers} | {findings.feedback:.0e} | {findings.tangent:.0e} | {kept} |"


def page(found: list[Findings]) -> str:
    failed = [findings for findings in found if findings.failures]
    head = HEAD.format(
        torch=torch.__version__.partition("+")[0],
        timm=timm.__version__,
        transformers=transformers.__version__,
        rules=" ".join(EVERY_RULE),
        held=len(found) - len(failed),
        total=len(found),
    )
    reasons = "\n".join(f"- {findings.name}: {'; '.join(findings.failures)}" for findings in failed)
    table = (
        "| architecture | blocks | below | oracle | layers | oracle | FA, B = W | tangent | all held |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    return (
        f"{head}\n## What did not hold\n\n{reasons or 'Nothing.'}\n\n## All\n\n{table}"
        + "\n".join(map(row, found))
        + "\n"
    )


if __name__ == "__main__":
    main()
