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
from tests.network.coverage import Findings, examine

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
HEAD = """# Coverage

One model per timm family and tiny transformers of every kind, examined with torch {torch}, timm {timm} and transformers
{transformers}. {held} of {total} hold everything; the others are named below.

For each: blocks found · with BP's gradients injected at the cuts every parameter's gradient is BP's (oracle, largest
relative error; in float64 where float32 rounds more than 1e-5) · FA with B = W is BP · one step of
`bp fa dfa grape head-only` gives a finite gradient to every parameter that it claims · logits equal to the bit before,
while and after a rule is attached · forward-mode tangents equal finite differences in float64 where the model has no
kinks (relative error).

Made by `python -m benchmarks.coverage`; `tox -e slow` holds it.
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
    tangent = "" if findings.tangent is None else f"{findings.tangent:.0e}"
    kept = "yes" if not findings.failures else "**no**"
    numbers = f"{findings.blocks} | {findings.oracle:.0e} | {findings.feedback:.0e} | {tangent}"
    return f"| {findings.name} | {numbers} | {kept} |"


def page(found: list[Findings]) -> str:
    failed = [findings for findings in found if findings.failures]
    head = HEAD.format(
        torch=torch.__version__.partition("+")[0],
        timm=timm.__version__,
        transformers=transformers.__version__,
        held=len(found) - len(failed),
        total=len(found),
    )
    reasons = "\n".join(f"- {findings.name}: {'; '.join(findings.failures)}" for findings in failed)
    table = "| architecture | blocks | oracle | FA, B = W | tangent | all held |\n|---|---|---|---|---|---|\n"
    return (
        f"{head}\n## What did not hold\n\n{reasons or 'Nothing.'}\n\n## All\n\n{table}"
        + "\n".join(map(row, found))
        + "\n"
    )


if __name__ == "__main__":
    main()
