"""Measure the cost of rules relative to backpropagation on the models of docs/speed.md, and write its tables.

python -m benchmarks.cost [PART]    on one CPU thread; a part takes two to six minutes, on an otherwise idle machine

PART "small" has both small networks, and compares CPU time with a loop without grape_bench (benchmarks/overhead.py).
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks import overhead, page
from grape_bench.cost.rules import Subject, measure_costs, rows
from grape_bench.record.environment import environment, git_state

RAW = Path(__file__).parent / "measured"
MEBI = 2**20


@dataclass(frozen=True)
class Part:
    """A model, the rules to measure on it, and the limits on time and memory of each rule, as ratios to BP's."""

    title: str
    subject: Subject
    rules: tuple[str, ...]
    time: dict[str, float]
    memory: dict[str, float]
    seconds: float = 100


def vit(depth: int, batch_size: int) -> Subject:
    arguments = {"img_size": 32, "patch_size": 4, "depth": depth}
    return Subject("timm:vit_tiny_patch16_224", arguments, batch_size=batch_size)


RULES = ("fa", "dfa", "grape-lazy")
PARTS = {
    "mlp": Part(
        "MLP, 8 layers of 1,024",
        Subject("mlp", {"hidden": [1024] * 8}, shape=(1, 32, 32), batch_size=512),
        RULES,
        {"fa": 1.03, "dfa": 0.75, "grape-lazy": 1.15},
        {},
    ),
    "vgg11": Part(
        "vgg11",
        Subject("timm:vgg11", batch_size=64),
        RULES,
        {"fa": 1.03, "dfa": 0.72, "grape-lazy": 1.15},
        {},
        seconds=90,
    ),
    "resnet18": Part(
        "resnet18", Subject("timm:resnet18", batch_size=64), RULES, {"fa": 1.03, "dfa": 0.92, "grape-lazy": 1.15}, {}
    ),
    "vit6": Part("ViT, 6 blocks, 64 patches", vit(6, 16), RULES, {"fa": 1.03, "dfa": 1.00, "grape-lazy": 1.15}, {}),
    "vit12": Part(
        "ViT, 12 blocks, 64 patches",
        vit(12, 64),
        ("bp checkpoint", "dfa", "dfa lean", "grape-lazy lean"),
        {"dfa lean": 1.30, "grape-lazy lean": 1.30},
        {"dfa lean": 0.25, "grape-lazy lean": 0.25},
        seconds=150,
    ),
}


def main() -> None:
    torch.set_num_threads(1)
    RAW.mkdir(exist_ok=True)
    for name, part in PARTS.items():
        if not sys.argv[1:] or sys.argv[1] == name:
            table = measured(part)
            table.to_csv(RAW / f"cost-{name}.csv", index=False)
            print(section(part, table), flush=True)
    for name, small in overhead.NETWORKS.items():
        if not sys.argv[1:] or name.startswith(sys.argv[1]):
            table = next_to_a_plain_loop(small)
            table.to_csv(RAW / f"cost-{name}.csv", index=False)
            print(small_section(small, table), flush=True)
    found = {name: RAW / f"cost-{name}.csv" for name in PARTS}
    sections = [section(PARTS[name], pd.read_csv(file)) for name, file in found.items() if file.is_file()]
    page.write("speed.md", "cost", "\n" + "\n".join(sections))
    files = {name: RAW / f"cost-{name}.csv" for name in overhead.NETWORKS}
    small_sections = [
        small_section(overhead.NETWORKS[name], pd.read_csv(file)) for name, file in files.items() if file.is_file()
    ]
    page.write("speed.md", "cost small", "\n" + "\n".join(small_sections))


def next_to_a_plain_loop(small: overhead.Small) -> pd.DataFrame:
    """Make one row per rule: the quartiles of its time ÷ that of a plain loop, whose own row has ms."""
    found = overhead.measured(small, overhead.ROUNDS if small.steps > 1 else overhead.ROUNDS // 4)
    table = pd.DataFrame([(rule, *values) for rule, values in found.items()], columns=["rule", "low", "time", "high"])
    return table.assign(hardware=environment(1, git_state()).hardware.kind, torch=torch.__version__)


def small_section(small: overhead.Small, table: pd.DataFrame) -> str:
    """Make the Markdown table of a small network. Marks numbers that exceed their limit."""
    plain = table.iloc[0]
    where = f"{plain.hardware}, one thread, torch {plain.torch}"
    lines = [f"### {small.title}", "", f"Batch 64. A step of the plain loop: {plain.time:.2f} ms ({where}).", ""]
    lines += ["| step | CPU time (quartiles) | aim |", "|---|---|---|"]
    lines += [
        f"| {row.rule} | {row.time:.3f} ({row.low:.3f}–{row.high:.3f}) | {judged(row.time, small.aims.get(row.rule))} |"
        for row in table.iloc[1:].itertuples()
    ]
    return "\n".join(lines) + "\n"


def measured(part: Part) -> pd.DataFrame:
    """Make one row per rule: ratios to BP, raw numbers, and the machine."""
    table = pd.DataFrame(rows(measure_costs(part.subject, part.rules, budget_s=part.seconds)))
    where = environment(1, git_state())
    table["hardware"] = where.hardware.kind
    table["torch"] = torch.__version__
    return table


HEAD = """| rule | time (quartiles) | aim | memory | aim | FLOPs | tangents | path | attach | steps |
|---|---|---|---|---|---|---|---|---|---|"""


def section(part: Part, table: pd.DataFrame) -> str:
    """Make the Markdown table. Marks numbers that exceed their limit."""
    bp = table.iloc[0]
    where = f"{bp.hardware}, one thread, torch {bp.torch}"
    costs = f"{1000 * bp.step_s:.0f} ms and {bp.memory_bytes / MEBI:.0f} MiB above the weights"
    lines = [f"### {part.title}", "", f"Batch {part.subject.batch_size}. A step of BP: {costs} ({where}).", "", HEAD]
    for row in table.itertuples():
        cells = [
            row.rule,
            f"{row.time:.3f} ({row.time_low:.3f}–{row.time_high:.3f})",
            judged(row.time, part.time.get(row.rule)),
            f"{row.memory:.2f}",
            judged(row.memory, part.memory.get(row.rule)),
            *(f"{value:.3f}" for value in (row.flops, row.tangents)),
            *(f"{value:.2f}" for value in (row.critical, row.attach)),
            str(row.rounds),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def judged(value: float, aim: float | None) -> str:
    if aim is None:
        return ""
    return f"≤ {aim:.2f}" + ("" if value <= aim else " **missed**")


if __name__ == "__main__":
    main()
