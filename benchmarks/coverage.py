"""Examine the engine on every architecture of the sweep and write docs/coverage.md.

python -m benchmarks.coverage [PART OF A NAME ... | i/n]
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
from benchmarks.examination import SWEPT, Findings, examine

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
HEAD = """# Coverage

The engine was tested on one model per timm family and on tiny transformers of every kind, with
{versions}. The rows below them are small forms of published networks that nobody tuned
the engine for, each with its own loss. They are PyTorch's `examples`, graph networks (torch_geometric), spiking
networks (snntorch, spikingjelly), recurrent networks, nanoGPT, a U-Net, an autoencoder and a recommender (DeepFM).
{held} of {total} pass every check. The rest are named below. For each model:

- **blocks** is the number of blocks found. **below** is the share of the weight matrices that they take out of
  backpropagation's reach.
- **oracle** injects BP's gradients at the cuts, and every parameter's gradient must be BP's. The column shows the
  largest relative error, in float64 if float32 rounds more than 1e-5. With zeros injected, nothing below the cuts gets
  any gradient.
- **layers** is the number of cuts with `granularity="layer"`, followed by their oracle.
- **FA, B = W** compares FA with B = W to BP (largest relative error).
- **tangent** compares forward-mode derivatives with finite differences in float64 (relative error). Block outputs are
  moved away from the zeros of a ReLU, so that the step crosses hardly any kink. A surrogate gradient has no such
  difference. There the products with the gradients of backpropagation are compared.

Two more checks have no column:

- One step of each of these rules gives a finite gradient to every parameter that BP trains:
  `{rules}`.
  (`head-only` gives one only to parameters above the cuts. Rules that `attach` refuses for a good reason are left out:
  rules that read classes where there are none, and feedback alignment where it would read true weights.)
  Parameters that `net.report()` calls exact get BP's own gradient.
- The logits are equal to the bit before, while and after a rule is attached. Feedback alignment runs a fused recurrent
  layer step by step. There its logits may differ by 1e-5, because the sums have another order.

Parameters that are all zero (a head that starts at zero) are redrawn first, because 0 = 0 would show nothing.

`python -m benchmarks.coverage` writes this page. It also accepts parts of names, or `1/4` for every fourth
architecture, and then keeps the other rows. `tox -e sweep` tests it.
"""
TABLE = (
    "| architecture | blocks | below | oracle | layers | oracle | FA, B = W | tangent | all held |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
VERSIONS = ", ".join(
    f"{module.__name__} {module.__version__.partition('+')[0]}" for module in (torch, timm, transformers)
)


ROW = re.compile(r"^\| (\S+ \S+) \|.*$", re.MULTILINE)
REASON = re.compile(r"^- (\S+ \S+): (.*)$", re.MULTILINE)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    for architecture in chosen(sys.argv[1:]):
        start = time.perf_counter()
        findings = examine(architecture)
        write(findings)
        gc.collect()
        print(row(findings), f"{time.perf_counter() - start:.1f} s", *findings.failures, flush=True)


def chosen(parts: list[str]) -> list[Architecture]:
    """All architectures, those with one of `parts` in their names, or every n-th from the i-th for "i/n"."""
    if len(parts) == 1 and re.fullmatch(r"\d+/\d+", parts[0]):
        i, n = map(int, parts[0].split("/"))
        return ARCHITECTURES[i - 1 :: n]
    return [one for one in ARCHITECTURES if not parts or any(part in one.name for part in parts)]


def row(findings: Findings) -> str:
    kept = "yes" if not findings.failures else "**no**"
    cuts = f"{findings.blocks} | {findings.below:.0%} | {findings.oracle:.0e}"
    layers = f"{findings.layers} | {findings.layer_oracle:.0e}"
    return f"| {findings.name} | {cuts} | {layers} | {findings.feedback:.0e} | {findings.tangent:.0e} | {kept} |"


def write(findings: Findings) -> None:
    """Write the page with a new row. Old rows are kept if they were made with the same packages."""
    old = PAGE.read_text() if PAGE.exists() else ""
    if VERSIONS not in old:
        old = ""
    rows = {match[1]: match[0] for match in ROW.finditer(old)} | {findings.name: row(findings)}
    reasons = {match[1]: match[2] for match in REASON.finditer(old)} | {findings.name: "; ".join(findings.failures)}
    names = [architecture.name for architecture in ARCHITECTURES if architecture.name in rows]
    failed = [name for name in names if reasons.get(name)]
    head = HEAD.format(versions=VERSIONS, held=len(names) - len(failed), total=len(names), rules=" ".join(SWEPT))
    named = "\n".join(f"- {name}: {reasons[name]}" for name in failed) or "Nothing."
    PAGE.write_text(
        f"{head}\n## What did not hold\n\n{named}\n\n## All\n\n{TABLE}" + "\n".join(rows[n] for n in names) + "\n"
    )


if __name__ == "__main__":
    main()
