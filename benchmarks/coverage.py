"""Examine the engine on every architecture of the sweep and write docs/coverage.md.

python -m benchmarks.coverage [PART OF A NAME | i/n]
"""

import gc
import re
import sys
import time
import warnings
from pathlib import Path

import timm
import torch
import transformers

from benchmarks.architectures import ARCHITECTURES, Architecture
from benchmarks.examination import EVERY_RULE, Findings, examine

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
HEAD = """# Coverage

One model per timm family and tiny transformers of every kind, examined with
{versions}.
{held} of {total} keep every promise. The others are listed below. For each:

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

Parameters that are all zero (a head that starts at zero) are redrawn first, because 0 = 0 would say nothing.

Made by `python -m benchmarks.coverage`, which also takes a part of a name, or `1/4` for every fourth architecture, and
then keeps the other rows; `tox -e sweep` holds it.
"""
TABLE = (
    "| architecture | blocks | below | oracle | layers | oracle | FA, B = W | tangent | all held |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
VERSIONS = ", ".join(
    f"{module.__name__} {module.__version__.partition('+')[0]}" for module in (torch, timm, transformers)
)


ROW = re.compile(r"^\| ((?:timm|transformers) \S+) \|.*$", re.MULTILINE)
REASON = re.compile(r"^- ((?:timm|transformers) \S+): (.*)$", re.MULTILINE)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    for architecture in chosen(sys.argv[1] if sys.argv[1:] else ""):
        start = time.perf_counter()
        findings = examine(architecture)
        write(findings)
        gc.collect()
        print(row(findings), f"{time.perf_counter() - start:.1f} s", *findings.failures, flush=True)


def chosen(part: str) -> list[Architecture]:
    """Choose all models, those with `part` in their names, or for "i/n" every n-th model, starting with the i-th."""
    if re.fullmatch(r"\d+/\d+", part):
        i, n = map(int, part.split("/"))
        return ARCHITECTURES[i - 1 :: n]
    return [architecture for architecture in ARCHITECTURES if part in architecture.name]


def row(findings: Findings) -> str:
    kept = "yes" if not findings.failures else "**no**"
    cuts = f"{findings.blocks} | {findings.below:.0%} | {findings.oracle:.0e}"
    layers = f"{findings.layers} | {findings.layer_oracle:.0e}"
    return f"| {findings.name} | {cuts} | {layers} | {findings.feedback:.0e} | {findings.tangent:.0e} | {kept} |"


def write(findings: Findings) -> None:
    """Add a row to the page. Keeps the old rows if they were made with the same package versions."""
    old = PAGE.read_text() if PAGE.exists() else ""
    if VERSIONS not in old:
        old = ""
    rows = {match[1]: match[0] for match in ROW.finditer(old)} | {findings.name: row(findings)}
    reasons = {match[1]: match[2] for match in REASON.finditer(old)} | {findings.name: "; ".join(findings.failures)}
    names = [architecture.name for architecture in ARCHITECTURES if architecture.name in rows]
    failed = [name for name in names if reasons.get(name)]
    head = HEAD.format(versions=VERSIONS, held=len(names) - len(failed), total=len(names), rules=" ".join(EVERY_RULE))
    named = "\n".join(f"- {name}: {reasons[name]}" for name in failed) or "Nothing."
    PAGE.write_text(
        f"{head}\n## What did not hold\n\n{named}\n\n## All\n\n{TABLE}" + "\n".join(rows[n] for n in names) + "\n"
    )


if __name__ == "__main__":
    main()
