"""Step times of layer-parallel training on one GPU, beside backpropagation measured with the same tools.

python -m benchmarks.gpu --out results/gpu                           (under 8 minutes, no network)
python -m benchmarks.gpu --out smoke --device cpu --smoke            (toy sizes, no streams and no graphs)

Writes gpu.md (the tables), table.csv (the same) and times.csv (every round). Before anything is timed, training on
streams and with graphs is compared with ordinary training. Exit code 1: they differ; 2: there is no GPU.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grape_bench as gb
from benchmarks.transformer import Transformer
from grape_bench.cost.energy import EnergyMeter
from grape_bench.cost.turns import Ratio, in_turns, ratio
from grape_bench.network.captured import CapturedStep
from grape_bench.network.parallel import parallel_backward
from grape_bench.network.trace import as_batch

STEPS = 8  # timed at once: GrAPE's period, so that its refresh is counted in full
CHECKED = 12  # steps of training compared: three to warm up, a capture, eight replays with one refresh
TOLERANCE = 1e-2  # of the way that the weights went
VARIANTS = [
    ("bp", "eager"),
    ("bp", "graph"),
    *((rule, tool) for rule in ("dfa", "grape") for tool in ("eager", "streams", "streams + graph")),
]
Variant = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """A model on random data of one shape; `shape` of a sample, integers below `vocabulary` where there is one."""

    name: str
    model: Callable[[], nn.Module]
    samples: int
    shape: tuple[int, ...]
    vocabulary: int = 0

    def batch(self, device: torch.device) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        size = (self.samples, *self.shape)
        if self.vocabulary:
            inputs = torch.randint(self.vocabulary, size, generator=generator)
            return inputs.to(device), inputs.roll(-1, 1).to(device)
        labels = torch.randint(10, size[:1], generator=generator)
        return torch.randn(size, generator=generator).to(device), labels.to(device)


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def timm_model(name: str, **args: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=10, **args)


def transformers(smoke: bool) -> list[Case]:
    sizes: dict[str, int] = dict(width=16, vocabulary=40, tokens=6) if smoke else dict(vocabulary=1000, tokens=64)
    samples, tokens, vocabulary = (2 if smoke else 16), sizes["tokens"], sizes["vocabulary"]
    return [
        Case(f"transformer, depth {d}", lambda d=d: Transformer(d, **sizes), samples, (tokens,), vocabulary)
        for d in ((2,) if smoke else (2, 4, 8))
    ]


def image_models(smoke: bool) -> list[Case]:
    if smoke:
        vit = timm_model("vit_tiny_patch16_224", img_size=32, embed_dim=48, depth=2)
        return [Case("ViT", vit, 2, (3, 32, 32))]
    resnet = timm_model("resnet18", zero_init_last=False)
    return [
        Case("ResNet-18, 224 px", resnet, 32, (3, 224, 224)),
        Case("ViT-Tiny, 224 px", timm_model("vit_tiny_patch16_224"), 32, (3, 224, 224)),
    ]


@dataclass
class Stepper:
    """One variant's network, and a function that takes a training step."""

    network: gb.Network
    step: Callable[[], object]

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def weights(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.network.model.parameters()])


def stepper(case: Case, variant: Variant, device: torch.device) -> Stepper:
    rule, tool = variant
    torch.manual_seed(0)
    model = case.model().to(device).train()
    inputs, targets = case.batch(device)
    network = gb.attach(model, rule, inputs[:2])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def eager() -> None:
        optimizer.zero_grad()
        loss_of(model(inputs), targets).backward()
        optimizer.step()

    def streams() -> None:
        optimizer.zero_grad()
        parallel_backward(network, as_batch(inputs), lambda logits: loss_of(logits, targets))
        optimizer.step()

    if tool == "eager":
        return Stepper(network, eager)
    if tool == "streams":
        return Stepper(network, streams)
    captured = CapturedStep(network, loss_of, optimizer)
    return Stepper(network, lambda: captured(inputs, targets))


def problem(case: Case, variant: Variant, device: torch.device) -> str:
    """How a variant's weights differ from those of ordinary training; "" where they hardly do."""
    ordinary, own = stepper(case, (variant[0], "eager"), device), stepper(case, variant, device)
    start = ordinary.weights().clone()
    try:
        for one in (ordinary, own):
            one.steps(CHECKED)
    except gb.UserError as error:
        return str(error)
    way = (ordinary.weights() - start).norm()
    difference = ((own.weights() - ordinary.weights()).norm() / way).item()
    if difference <= TOLERANCE:
        return ""
    return f"the weights are off by {difference:.2g} of the way that they went in {CHECKED} steps"


@dataclass(frozen=True)
class Row:
    """One line of a table: seconds per step in each round; joules per step where they could be measured."""

    case: str
    variant: Variant
    blocks: int
    seconds: list[float]
    to_eager: Ratio
    to_graph: Ratio | None
    joules: float | None


def measure(case: Case, variants: list[Variant], device: torch.device, budget_s: float) -> list[Row]:
    steppers = {variant: stepper(case, variant, device) for variant in variants}
    work = {" ".join(variant): lambda own=own: own.steps(STEPS) for variant, own in steppers.items()}
    times = in_turns(work, device, 30, budget_s)
    seconds = {variant: [t / STEPS for t in times[" ".join(variant)]] for variant in variants}
    with EnergyMeter(device) as meter:
        joules = {variant: meter.per_step(own.steps, STEPS) for variant, own in steppers.items()}
    eager, graph = seconds["bp", "eager"], seconds.get(("bp", "graph"))
    return [
        Row(
            case.name,
            variant,
            len(own.network.blocks),
            seconds[variant],
            ratio(seconds[variant], eager),
            ratio(seconds[variant], graph) if graph else None,
            joules[variant],
        )
        for variant, own in steppers.items()
    ]


COLUMNS = ["model", "blocks", "rule", "how", "step ms", "quartiles ms", "÷ BP eager", "÷ BP graph", "J per step"]


def cells(row: Row) -> list[str]:
    low, median, high = statistics.quantiles([1000 * t for t in row.seconds], n=4)

    def shown(ratio: Ratio | None) -> str:
        return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""

    energy = f"{row.joules:.3g}" if row.joules is not None else ""
    times = [f"{median:.3f}", f"{low:.3f} to {high:.3f}"]
    return [row.case, str(row.blocks), *row.variant, *times, shown(row.to_eager), shown(row.to_graph), energy]


def markdown(rows: list[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def environment(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    python = sys.version.partition(" ")[0]
    return f"{name} · torch {torch.__version__} · CUDA {torch.version.cuda} · timm {timm.__version__} · Python {python}"


class Run:
    """One run of the script; its files are written anew after each table."""

    def __init__(self, device: torch.device, folder: Path, budget_s: float) -> None:
        self.device, self.folder, self.budget_s = device, folder, budget_s
        self.variants = VARIANTS if device.type == "cuda" else [v for v in VARIANTS if v[1] == "eager"]
        self.problems: list[str] = []
        self.rows: list[Row] = []
        self.start, self.page = time.perf_counter(), ""
        self.add(f"{environment(device)}. {STEPS} steps a round, all variants in turns, medians with quartiles.")

    def add(self, text: str) -> None:
        self.page += f"{text}\n\n"
        print(text, end="\n\n", flush=True)

    def table(self, title: str, cases: list[Case]) -> None:
        """Check every variant, then time those that train as they should."""
        rows = []
        for case in cases:
            right = []
            for variant in self.variants:
                wrong = problem(case, variant, self.device) if variant[1] != "eager" else ""
                if wrong:
                    self.problems.append(f"{case.name}, {' '.join(variant)}: {wrong}")
                else:
                    right.append(variant)
            rows += measure(case, right, self.device, self.budget_s)
        self.rows += rows
        self.add(f"## {title}\n\n{markdown(rows)}")
        self.write()

    def end(self) -> int:
        """The exit code."""
        if self.problems:
            self.add("## Failed checks, not timed\n\n" + "\n".join(f"- {problem}" for problem in self.problems))
        elif self.device.type == "cuda":
            self.add(
                f"Checked before: every variant's weights are where {CHECKED} ordinary steps take them, "
                f"within {TOLERANCE:g} of the way."
            )
        else:
            self.add("Streams and graphs need CUDA and were left out.")
        self.add(f"Made in {time.perf_counter() - self.start:.0f} s by `python -m benchmarks.gpu`.")
        self.write()
        return 1 if self.problems else 0

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "gpu.md").write_text(self.page)
        raw = [[row.case, *row.variant, n, f"{t:.9f}"] for row in self.rows for n, t in enumerate(row.seconds)]
        write_csv(self.folder / "times.csv", ["model", "rule", "how", "round", "seconds per step"], raw)
        write_csv(self.folder / "table.csv", COLUMNS, map(cells, self.rows))


def write_csv(path: Path, head: list[str], lines: Iterable[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *lines])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.md, table.csv and times.csv")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="toy sizes, to see that the script runs")
    parser.add_argument("--budget", type=float, default=30, help="seconds of timing per model")
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here; --device cpu --smoke shows that the script runs", file=sys.stderr)
        return 2
    run = Run(device, chosen.out, 1 if chosen.smoke else chosen.budget)
    run.table("Small transformer", transformers(chosen.smoke))
    run.table("Image models", image_models(chosen.smoke))
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
