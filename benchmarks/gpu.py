"""Step times of layer-parallel training on one GPU, compared with backpropagation measured with the same tools.

python -m benchmarks.gpu --out results/gpu                           (under 4 minutes, no network)
python -m benchmarks.gpu --out smoke --device cpu --smoke            (toy sizes, no CUDA streams and no CUDA graphs)

Writes gpu.md (the tables), table.csv (the same numbers) and times.csv (every round), and rewrites them after each
model. Every model runs in separate processes, so an error only costs its own row. Each variant is first compared with
ordinary training. A variant that trains differently is reported and not timed. Exit code 1 means that a variant
failed, and 2 that there is no GPU.
"""

import argparse
import csv
import multiprocessing
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
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

STEPS = 8  # per measurement: the period of grape-lazy, so that its refresh counts in full
CHECKED = 12  # steps to compare: three warm-up steps, one capture, eight replays with one refresh
TOLERANCE = 1e-2  # relative to the distance that the weights moved
LIMIT_S = 180  # per process
Variant = tuple[str, str]
BP: Variant = ("bp", "eager")
EAGER: list[Variant] = [BP, ("dfa", "eager"), ("grape-lazy", "eager")]
STREAMS: list[Variant] = [("dfa", "streams"), ("grape-lazy", "streams")]
GRAPHS: list[Variant] = [("bp", "graph"), ("dfa", "streams + graph"), ("grape-lazy", "streams + graph")]
VARIANTS = [*EAGER, *STREAMS, *GRAPHS]
GROUPS = [[*EAGER, *STREAMS], [BP, *GRAPHS]]  # measured in one process each; a failed capture may spoil its process


@dataclass(frozen=True)
class Case:
    """A model on random data. `shape` is the shape of a sample. With a `vocabulary`, samples are token ids below it."""

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
    """The network of one variant, and a function that takes a training step."""

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


@dataclass(frozen=True)
class Check:
    """The distance between the final weights of a variant and of ordinary training, relative to how far those moved.

    `noise` is the same distance between two runs of ordinary training, because GPU operations may not be deterministic.
    """

    difference: float
    noise: float

    @property
    def problem(self) -> str:
        """The reason why the check fails, or "" if it passes."""
        if self.difference <= TOLERANCE:
            return ""
        return f"weights off by {self.difference:.2g} of their way (ordinary runs among themselves: {self.noise:.2g})"


def check(case: Case, variant: Variant, device: torch.device) -> Check:
    """Compare `variant` with ordinary training, in full fp32 and with cuDNN's deterministic algorithms."""
    with _repeatable():
        ends = []
        for tool in ("eager", "eager", variant[1]):
            own = stepper(case, (variant[0], tool), device)
            start = own.weights().clone()
            own.steps(CHECKED)
            ends.append(own.weights())
    way = (ends[0] - start).norm()
    noise, difference = (((end - ends[0]).norm() / way).item() for end in ends[1:])
    return Check(difference, noise)


@contextmanager
def _repeatable() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    cudnn.deterministic, cudnn.allow_tf32 = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32 = before


@dataclass(frozen=True)
class Row:
    """One line of a table: seconds per step in each round, and joules per step if they could be measured.

    A row with a `problem` has no times.
    """

    case: str
    variant: Variant
    blocks: int = 0
    seconds: list[float] = field(default_factory=list)
    to_eager: Ratio | None = None
    to_graph: Ratio | None = None
    joules: float | None = None
    check: Check | None = None
    problem: str = ""


def measure(
    case: Case, variants: list[Variant], device: torch.device, budget_s: float, send: Callable[[Row], None]
) -> None:
    """Check each of `variants`, and time the correct ones in turns. `send` gets each row."""
    checks: dict[Variant, Check] = {}
    steppers: dict[Variant, Stepper] = {}
    for variant in variants:
        try:
            checks[variant] = check(case, variant, device)
            if checks[variant].problem:
                send(Row(case.name, variant, check=checks[variant], problem=checks[variant].problem))
                continue
            steppers[variant] = stepper(case, variant, device)
            steppers[variant].steps(CHECKED)  # captures, before anything is timed
        except Exception as error:
            traceback.print_exc()
            steppers.pop(variant, None)
            send(Row(case.name, variant, problem=f"{type(error).__name__}: {error}"))
    work = {" ".join(variant): lambda own=own: own.steps(STEPS) for variant, own in steppers.items()}
    times = in_turns(work, device, 30, budget_s)
    seconds = {variant: [t / STEPS for t in times[" ".join(variant)]] for variant in steppers}
    eager, graph = seconds[BP], seconds.get(("bp", "graph"))
    with EnergyMeter(device, least_s=0.5) as meter:
        for variant, own in steppers.items():
            row = Row(
                case.name,
                variant,
                len(own.network.blocks),
                seconds[variant],
                ratio(seconds[variant], eager),
                ratio(seconds[variant], graph) if graph else None,
                meter.per_step(own.steps, STEPS),
                checks[variant],
            )
            send(row)


def apart(limit_s: float, do: Callable[..., None], *arguments: Any) -> tuple[list[Any], str]:
    """Run `do(*arguments, send)` in a forked process. Returns what it sent, and why it ended early ("" if it did not).

    CUDA errors are sticky and may be fatal, and they end only that process. This process must not have used CUDA.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, do, arguments))
    process.start()
    sender.close()
    sent, problem, end = [], "", time.monotonic() + limit_s
    while not problem:
        if not receiver.poll(max(0.0, end - time.monotonic())):
            problem = f"took over {limit_s:g} s"
            break
        try:
            kind, value = receiver.recv()
        except EOFError:
            break
        if kind == "sent":
            sent.append(value)
        else:
            problem = value
    process.join(10 if not problem else 1)
    if process.is_alive():
        process.kill()
        process.join()
    elif process.exitcode and not problem:
        problem = f"its process ended with exit code {process.exitcode}"
    return sent, problem


def _work(sender: Connection, do: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        do(*arguments, lambda value: sender.send(("sent", value)))
    except Exception as error:
        traceback.print_exc()
        sender.send(("error", f"{type(error).__name__}: {error}"))
        sys.stderr.flush()
        os._exit(1)  # no CUDA clean-up, which may hang after an error


def rows_of(case: Case, groups: list[list[Variant]], device: torch.device, budget_s: float) -> Iterator[Row]:
    """Yield the rows of one model, with one process per group. If a process dies, its missing variants run alone."""
    seen: set[Variant] = set()
    for group in groups:
        rows, problem = apart(LIMIT_S, measure, case, group, device, budget_s)
        yield from (row for row in rows if row.variant not in seen)
        seen |= {row.variant for row in rows}
        for variant in [v for v in group if v not in seen]:
            alone = list(dict.fromkeys([BP, variant]))
            rows, last = apart(LIMIT_S, measure, case, alone, device, budget_s / 4)
            found = [row for row in rows if row.variant == variant]
            seen.add(variant)
            yield from found or [Row(case.name, variant, problem=last or problem)]


COLUMNS = [
    "model",
    "blocks",
    "rule",
    "how",
    "step ms",
    "quartiles ms",
    "÷ BP eager",
    "÷ BP graph",
    "J per step",
    "weights off by",
    "eager off by",
    "problem",
]


def cells(row: Row) -> list[str]:
    def shown(ratio: Ratio | None) -> str:
        return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""

    times = ["", ""]
    if row.seconds:
        low, median, high = statistics.quantiles([1000 * t for t in row.seconds], n=4)
        times = [f"{median:.3f}", f"{low:.3f} to {high:.3f}"]
    energy = f"{row.joules:.3g}" if row.joules is not None else ""
    checked = [f"{row.check.difference:.1e}", f"{row.check.noise:.1e}"] if row.check else ["", ""]
    problem = " ".join(row.problem.replace("|", "/").split())[:300]
    return [
        row.case,
        str(row.blocks or ""),
        *row.variant,
        *times,
        shown(row.to_eager),
        shown(row.to_graph),
        energy,
        *checked,
        problem,
    ]


def markdown(rows: list[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def environment(device: torch.device, send: Callable[[str], None]) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    cudnn = torch.backends.cudnn.version() if device.type == "cuda" else None
    python = sys.version.partition(" ")[0]
    versions = f"torch {torch.__version__} · CUDA {torch.version.cuda} · cuDNN {cudnn} · timm {timm.__version__}"
    send(f"{name} · {versions} · Python {python}")


class Run:
    """One run of the script. Its files are rewritten after each model."""

    def __init__(self, device: torch.device, folder: Path, budget_s: float) -> None:
        self.device, self.folder, self.budget_s = device, folder, budget_s
        self.groups = GROUPS if device.type == "cuda" else [EAGER]
        self.rows: list[Row] = []
        self.titles: dict[str, str] = {}
        self.start = time.perf_counter()
        found, problem = apart(LIMIT_S, environment, device)
        self.head = (
            f"{found[0] if found else problem}. {STEPS} steps a round, variants in turns, medians with quartiles."
        )

    def table(self, title: str, cases: list[Case]) -> None:
        """Measure `cases`. The rows of each model are on disk before the next model starts."""
        for case in cases:
            self.titles[case.name] = title
            for row in rows_of(case, self.groups, self.device, self.budget_s):
                self.rows.append(row)
                print("  ".join(filter(None, cells(row))), flush=True)
                self.write()

    def end(self) -> int:
        """Return the exit code."""
        self.write()
        return 1 if any(row.problem for row in self.rows) else 0

    def page(self) -> str:
        """Return the tables and the results of the checks."""
        parts = [self.head]
        for title in dict.fromkeys(self.titles.values()):
            parts.append(f"## {title}\n\n{markdown([row for row in self.rows if self.titles[row.case] == title])}")
        if self.device.type != "cuda":
            parts.append("Streams and graphs need CUDA and were left out.")
        parts.append(
            f"Checked before timing: weights after {CHECKED} steps against ordinary steps, within {TOLERANCE:g} of the "
            "distance they moved. A row with a problem was not timed."
        )
        parts.append(f"Made in {time.perf_counter() - self.start:.0f} s by `python -m benchmarks.gpu`.")
        return "\n\n".join(parts) + "\n"

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "gpu.md").write_text(self.page(), encoding="utf-8")
        raw = [[row.case, *row.variant, n, f"{t:.9f}"] for row in self.rows for n, t in enumerate(row.seconds)]
        write_csv(self.folder / "times.csv", ["model", "rule", "how", "round", "seconds per step"], raw)
        write_csv(self.folder / "table.csv", COLUMNS, map(cells, self.rows))


def write_csv(path: Path, head: list[str], lines: Iterable[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *lines])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.md, table.csv and times.csv")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="toy sizes, to see that the script runs")
    parser.add_argument("--only-transformers", action="store_true", help="leave out the image models")
    parser.add_argument("--budget", type=float, default=8, help="seconds of timing per model and process")
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # a check that does not start CUDA in this process
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here; --device cpu --smoke shows that the script runs", file=sys.stderr)
        return 2
    run = Run(device, chosen.out, 1 if chosen.smoke else chosen.budget)
    run.table("Small transformer", transformers(chosen.smoke))
    if not chosen.only_transformers:
        run.table("Image models", image_models(chosen.smoke))
    print(f"\n{run.page()}", flush=True)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
