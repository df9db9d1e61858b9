"""Everything that needs a GPU, in one command of at most eight minutes.

python -m benchmarks.gpu_all --prepare DATA               copies MNIST and the first part of CIFAR-10 to take along
python -m benchmarks.gpu_all --out OUT --data DATA        on the GPU machine; again with the same OUT to resume
python -m benchmarks.gpu_all --out OUT --dry-run          the same steps on a CPU at toy sizes

The parts: the `gpu` tests, cost tables, layer-parallel steps, and as many MNIST and CIFAR-10 jobs of
`suites/paper-full.toml` as fit, side by side. `--suite gpu-small` runs the shorter jobs of that suite, after its first
seed alone, which is timed. Each part is a separate process with a time limit, and a part that fails does not stop the
others. After eight minutes, all running parts are killed. A second call skips the parts that succeeded, and runs the
jobs that have no record. OUT gets one output file per part, summary.txt, the tables of `benchmarks.gpu`,
cost-MODEL.csv, rounds.csv and jobs.tar.gz (the records).
Needs Python 3.11 or later, torch, timm, transformers, pandas, pyarrow, scikit-learn, scipy, rich, click and pydantic,
but no network, mlflow or datasets. DATA holds mnist/ and cifar10-first-15000/.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUBSET, TRAIN, TEST = "cifar10-first-15000", 15_000, 3_000
CARRIED_MIB = 64  # code, packages and data together
OWN_DATA = {"cifar10-cnn": f"parquet:{SUBSET}"}  # task -> the part of its data set that is carried
TASKS = ("mnist-cnn", *OWN_DATA)
COST_MODELS = ("mlp", "resnet18", "vit6", "vgg11")
BUDGET_S = 480.0
DRY_FACTOR = 5  # a dry run may take this many times longer, because CI may be slow and busy
LEAST_S = 10.0  # with less time than this, no part starts


@dataclass(frozen=True)
class Part:
    """One command, killed after `limit_s` seconds, or at the end of the budget."""

    name: str
    limit_s: float
    command: list[str]


def parts(out: Path, dry: bool, suite: str) -> list[Part]:
    """All parts, in order: the parts that a first call must finish, the jobs, and then the slower cost tables."""
    python = [sys.executable, "-m"]
    tests = ["tests/network/test_gpu.py", "tests/job/test_gpu.py", *(["--collect-only"] if dry else ["-n", "8"])]
    gpu = ["benchmarks.gpu", "--out", str(out), *(["--device", "cpu", "--smoke"] if dry else ["--budget", "3"])]
    own = ["benchmarks.gpu_all", "--out", str(out), *(["--dry-run"] if dry else [])]
    timed = Part("jobs-timed", BUDGET_S, run_suite(out, dry, suite, "--seeds", "1", "--slots", "1"))
    slots = str(max(1, (os.cpu_count() or 1) - 2))  # a small network keeps one core busy with launches
    first, *others = (Part(f"cost-{m}", 100, [*python, *own, "--part", "cost", "--model", m]) for m in COST_MODELS)
    return [
        Part("about", 20, [*python, *own, "--part", "about"]),
        Part("tests", 90, [*python, "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *tests]),
        first,
        Part("layer-parallel", 110, [*python, *gpu, *([] if dry else ["--only-transformers"])]),
        Part("rounds", 40, [*python, *own, "--part", "rounds"]),
        *([timed] if suite == "gpu-small" else []),  # one seed of paper-full, alone, takes more than the whole budget
        Part("jobs", BUDGET_S, run_suite(out, dry, suite, "--slots", slots)),
        *([] if dry else others),
    ]


def run_suite(out: Path, dry: bool, suite: str, *options: str) -> list[str]:
    """The command that runs the MNIST and CIFAR-10 jobs of a suite, or the smallest part of quickstart on a CPU."""
    more = ["--rule", "dfa", "--only", "bp", "--set", "task.epochs=1", "--untuned", "--seeds", "1"] if dry else []
    for task, dataset in OWN_DATA.items() if not dry else ():
        more += ["--set", f"{task}.dataset={dataset}"]
    source = "quickstart" if dry else str(out / f"{suite}.toml")
    command = [sys.executable, "-m", "grape_bench", "run", source, "--out", str(out / "jobs"), "--tracking-uri", "none"]
    return [*command, *more, *options]


def with_tasks(suite: Path, names: tuple[str, ...], folder: Path) -> Path:
    """Write a copy of `suite` with only the tasks called `names`. Its jobs keep their ids."""
    head, *tables = suite.read_text(encoding="utf-8").split("[[task]]\n")
    kept = [table for table in tables if any(f'name = "{name}"\n' in table for name in names)]
    (folder / suite.name).write_text("[[task]]\n".join([head, *kept]), encoding="utf-8")
    return folder / suite.name


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
        from grape_bench.record.environment import hardware

        print(hardware(1), torch.cuda.get_device_properties(0))
        with EnergyMeter(torch.device("cuda")) as meter:
            print(f"idle: {meter.idle_watts()} W, processes on the card: {meter.processes()}")


def rounds(out: Path) -> None:
    """BP's step time on a small network, timed 1, 8 and 32 steps at a time, to find the cost of a synchronization."""
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


def cost(out: Path, name: str, dry: bool) -> None:
    """Make one table of docs/speed.md on this machine's device."""
    from benchmarks.cost import PARTS, measured
    from grape_bench.cost.rules import Subject

    part = PARTS[name]
    small = {"seconds": 1.0, "subject": Subject("mlp", {"hidden": [16, 16]}, batch_size=8)}
    part = type(part)(**{**vars(part), **(small if dry else {"seconds": 8.0})})
    found = measured(part).assign(model=part.title)
    found.to_csv(out / f"cost-{name}.csv", index=False)
    print(found.to_string(), flush=True)


def prepare(folder: Path) -> None:
    """Copy MNIST and the first images of CIFAR-10 from $GRAPE_BENCH_DATA to `folder`."""
    import pyarrow.parquet as pq

    data = Path(os.environ["GRAPE_BENCH_DATA"])
    shutil.copytree(data / "mnist", folder / "mnist", dirs_exist_ok=True)
    target = folder / SUBSET
    target.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", TRAIN), ("test", TEST)):
        pq.write_table(
            pq.read_table(data / "cifar10" / f"{split}.parquet").slice(0, count), target / f"{split}.parquet"
        )
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 2**20
    print(f"{folder}: {size:.1f} MiB of {CARRIED_MIB} MiB for code, packages and data")


def run_all(chosen: argparse.Namespace, data: Path | None) -> int:
    """Run the parts that have not succeeded yet, within the budget. Returns how many of them failed."""
    out: Path = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with_tasks(ROOT / "suites" / f"{chosen.suite}.toml", TASKS, out)
    slower = DRY_FACTOR if chosen.dry_run else 1
    summary, end, failed = out / "summary.txt", time.monotonic() + slower * chosen.budget, 0
    done = set(summary.read_text(encoding="utf-8").splitlines()) if summary.exists() else set()
    for part in parts(out, chosen.dry_run, chosen.suite):
        left = end - time.monotonic()
        if (chosen.only and part.name not in chosen.only) or any(f"{part.name}: exit code 0 " in line for line in done):
            continue
        line = f"{part.name}: not started, {left:.0f} s are left"
        if left >= LEAST_S:
            line = run_part(part, out, data, min(slower * part.limit_s, left))
        failed += "exit code 0 " not in line
        print(line, flush=True)
        with summary.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        pack(out)
    return failed


def run_part(part: Part, out: Path, data: Path | None, limit_s: float) -> str:
    """Run one part in a process of its own. Returns the line for the summary."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    if data:
        environment["GRAPE_BENCH_DATA"] = str(data.resolve())
    where = data.resolve() if data and part.name.startswith("jobs") else ROOT
    start = time.perf_counter()
    with (out / f"{part.name}.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            part.command, cwd=where, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
            code = 124
    return f"{part.name}: exit code {code} after {time.perf_counter() - start:.0f} s"


def pack(out: Path) -> None:
    """Write the records so far to one file."""
    if (out / "jobs").is_dir():
        with tarfile.open(out / "jobs.tar.gz", "w:gz") as archive:
            archive.add(out / "jobs", "jobs")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for what was measured")
    parser.add_argument("--data", type=Path, help="folder with mnist/ and cifar10-first-15000/")
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="write this data there and stop")
    parser.add_argument("--suite", choices=["paper-full", "gpu-small"], default="paper-full", help="whose jobs run")
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="S", help="seconds for all parts together")
    parser.add_argument("--dry-run", action="store_true", help="toy sizes on a CPU")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="run these parts only")
    parser.add_argument("--part", choices=["about", "rounds", "cost"], help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=COST_MODELS, help=argparse.SUPPRESS)
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
        cost(chosen.out, chosen.model, chosen.dry_run)
    else:
        return min(1, run_all(chosen, chosen.data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
