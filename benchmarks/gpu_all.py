"""Everything that needs a GPU, in one command of at most eight minutes.

python -m benchmarks.gpu_all --prepare DATA               copies the part of CIFAR-10 that `suites/gpu-small.toml` reads
python -m benchmarks.gpu_all --out OUT --data DATA        on the GPU machine; again with the same OUT to resume the jobs
python -m benchmarks.gpu_all --out OUT --dry-run          the same steps on a CPU at toy sizes

Each part is a separate process with a time limit, and a part that fails does not stop the others. OUT gets one output
file per part, summary.txt, the tables of `benchmarks.gpu`, cost.csv, rounds.csv and jobs.tar.gz (the records).
Needs Python 3.11 or later, torch, timm, transformers, pandas, pyarrow, scikit-learn, scipy, rich, click and pydantic,
but no network, mlflow or datasets. DATA holds mnist/ (from `grape-bench data prepare mnist`) and cifar10-first-15000/.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "suites" / "gpu-small.toml"
SUBSET, TRAIN, TEST = "cifar10-first-15000", 15_000, 3_000


@dataclass(frozen=True)
class Part:
    """One command, killed after `limit_s` seconds."""

    name: str
    limit_s: float
    command: list[str]


def parts(out: Path, dry: bool) -> list[Part]:
    """All parts. The tables come first, for users who have less time on a GPU and stop early."""
    python = [sys.executable, "-m"]
    tests = ["tests/network/test_gpu.py", "tests/job/test_gpu.py", *(["--collect-only"] if dry else ["-n", "4"])]
    gpu = ["benchmarks.gpu", "--out", str(out), *(["--device", "cpu", "--smoke"] if dry else ["--budget", "3"])]
    own = ["benchmarks.gpu_all", "--out", str(out), *(["--dry-run"] if dry else [])]
    return [
        Part("about", 30, [*python, *own, "--part", "about"]),
        Part("layer-parallel", 220, [*python, *gpu]),
        Part("jobs-timed", 240, run_suite(out, dry, "--seeds", "1", "--slots", "1")),
        Part("jobs", 120, run_suite(out, dry, "--slots", "8")),
        Part("tests", 90, [*python, "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *tests]),
        Part("rounds", 40, [*python, *own, "--part", "rounds"]),
        Part("cost", 90, [*python, *own, "--part", "cost"]),
    ]


def run_suite(out: Path, dry: bool, *options: str) -> list[str]:
    """The command that runs the GPU suite, or its smallest part on a CPU."""
    suite = "quickstart" if dry else str(SUITE)
    more = ["--rule", "dfa", "--only", "bp", "--set", "task.epochs=1", "--untuned"] if dry else []
    command = [sys.executable, "-m", "grape_bench", "run", suite, "--out", str(out / "jobs"), "--tracking-uri", "none"]
    return [*command, *more, *options]


def about() -> None:
    """The machine: card, driver, versions, and where NVML and the driver's files are."""
    import torch

    for command in (["nvidia-smi"], ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv"]):
        try:
            print(subprocess.run(command, capture_output=True, text=True, timeout=15).stdout)
        except OSError as error:
            print(f"{command[0]}: {error}")
    print(f"python {sys.version}\ntorch {torch.__version__} CUDA {torch.version.cuda}")
    print(f".git {(ROOT / '.git').exists()} /proc/driver/nvidia {Path('/proc/driver/nvidia').exists()}")
    print(f"cores {os.cpu_count()}")
    if torch.cuda.is_available():
        from grape_bench.cost.energy import EnergyMeter
        from grape_bench.track.environment import hardware

        print(hardware(1), torch.cuda.get_device_properties(0))
        with EnergyMeter(torch.device("cuda")) as meter:
            print(f"idle: {meter.idle_watts()} W, processes on the card: {meter.processes()}")


def rounds(out: Path) -> None:
    """BP's step time on a small network, timed 1, 8 and 32 steps at a time: what a synchronization costs."""
    import pandas as pd
    import torch
    from torch import nn

    import grape_bench as gb
    from grape_bench.cost.turns import in_turns

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x, y = torch.randn(64, 64, device=device), torch.randint(10, (64,), device=device)
    work = {}
    for rule in ("bp", "dfa"):
        torch.manual_seed(0)
        layers = [layer for _ in range(3) for layer in (nn.Linear(64, 64), nn.ReLU())]
        model = nn.Sequential(*layers, nn.Linear(64, 10)).to(device)
        gb.attach(model, rule, x)
        optimizer = torch.optim.AdamW(model.parameters())

        def step(model=model, optimizer=optimizer) -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

        for count in (1, 8, 32):
            work[f"{rule} {count}"] = lambda step=step, count=count: [step() for _ in range(count)]
    seconds = in_turns(work, device, 100, 15 if device.type == "cuda" else 1)
    rows = [
        {"rule": name.split()[0], "steps per round": count, "step ms": 1000 * s / count, "round": n}
        for name, times in seconds.items()
        for count in [int(name.split()[1])]
        for n, s in enumerate(times)
    ]
    table = pd.DataFrame(rows)
    table.to_csv(out / "rounds.csv", index=False)
    print(table.groupby(["rule", "steps per round"])["step ms"].describe())


def cost(out: Path, dry: bool) -> None:
    """Make the tables of docs/speed.md on this machine's device. Writes a file after each model."""
    import pandas as pd

    from benchmarks.cost import PARTS, measured
    from grape_bench.cost.rules import Subject

    found = []
    for name in ["mlp"] if dry else ["mlp", "resnet18", "vit6", "vgg11"]:
        part = PARTS[name]
        small = {"seconds": 1.0, "subject": Subject("mlp", {"hidden": [16, 16]}, batch_size=8)}
        part = type(part)(**{**vars(part), **(small if dry else {"seconds": 8.0})})
        found.append(measured(part).assign(model=part.title))
        pd.concat(found).to_csv(out / "cost.csv", index=False)
        print(found[-1].to_string(), flush=True)


def prepare(folder: Path) -> None:
    """Write the first images of CIFAR-10 from $GRAPE_BENCH_DATA into `folder`/cifar10-first-15000."""
    import pyarrow.parquet as pq

    source, target = Path(os.environ["GRAPE_BENCH_DATA"]) / "cifar10", folder / SUBSET
    target.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", TRAIN), ("test", TEST)):
        pq.write_table(pq.read_table(source / f"{split}.parquet").slice(0, count), target / f"{split}.parquet")
    print(f"{target}: {sum(file.stat().st_size for file in target.iterdir()) / 2**20:.1f} MiB")


def run_all(out: Path, data: Path | None, dry: bool, only: list[str]) -> int:
    """Run the parts. Returns how many of them failed."""
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    if data:
        environment["GRAPE_BENCH_DATA"] = str(data.resolve())
    failed = 0
    for part in parts(out.resolve(), dry):
        if only and part.name not in only:
            continue
        start = time.perf_counter()
        with (out / f"{part.name}.txt").open("w", encoding="utf-8") as log:
            where = data.resolve() if data and part.name.startswith("jobs") else ROOT
            process = subprocess.Popen(
                part.command, cwd=where, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(part.limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 15)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, 9)
                code = 124
        failed += code != 0
        line = f"{part.name}: exit code {code} after {time.perf_counter() - start:.0f} s"
        print(line, flush=True)
        with (out / "summary.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        pack(out)
    return failed


def pack(out: Path) -> None:
    """Write the records so far to one file."""
    if (out / "jobs").is_dir():
        with tarfile.open(out / "jobs.tar.gz", "w:gz") as archive:
            archive.add(out / "jobs", "jobs")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for what was measured")
    parser.add_argument("--data", type=Path, help="folder with mnist/ and cifar10-first-15000/")
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="write cifar10-first-15000/ there and stop")
    parser.add_argument("--dry-run", action="store_true", help="toy sizes on a CPU")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="run these parts only")
    parser.add_argument("--part", choices=["about", "rounds", "cost"], help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.prepare:
        prepare(chosen.prepare)
        return 0
    if chosen.out is None:
        parser.error("--out is required")
    if chosen.part == "about":
        about()
    elif chosen.part == "rounds":
        rounds(chosen.out)
    elif chosen.part == "cost":
        cost(chosen.out, chosen.dry_run)
    else:
        return min(1, run_all(chosen.out, chosen.data, chosen.dry_run, chosen.only))
    return 0


if __name__ == "__main__":
    sys.exit(main())
