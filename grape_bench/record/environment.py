"""The environment of a job: the versions, source and hardware that can change its result or its speed."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import grape_bench
from grape_bench.errors import UserError
from grape_bench.record.typed_json import OPTIONAL

COMMIT = "GRAPE_BENCH_COMMIT"
"""Environment variable with the commit of a source copy that has no .git folder."""
GPU_JOBS = "GRAPE_BENCH_GPU_JOBS"
"""Environment variable with the number of jobs that share this job's GPU. The local executor sets it."""
PACKAGES = (
    "grape-bench",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "datasets",
    "tokenizers",
    "torch-geometric",
    "snntorch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
)


@dataclass(frozen=True, kw_only=True)
class Git:
    """The commit of the checkout ("unknown" for an installed package), and whether the package had changes since."""

    commit: str
    dirty: bool | None


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The machine. Only jobs on one `kind`, such as `cpu:AMD EPYCx2`, are compared in speed and memory."""

    kind: str = field(metadata={"key": "class"})
    cpu: str
    cores: int
    gpu: str | None
    threads: int

    @property
    def is_cpu(self) -> bool:
        """Whether jobs train on the CPU."""
        return self.kind.startswith("cpu:")


def hardware_class(cpu: str, cores: int, gpu: str | None) -> str:
    """The class of a machine. For a GPU, a space and what else changes its speed follow."""
    return f"cuda:{gpu}" if gpu else f"cpu:{cpu}x{cores}"


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """The Slurm job, in the record of a job whose worker could not write one."""

    job: str
    state: str
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The versions, source and hardware that can change a result or its speed."""

    python: str
    platform: str
    packages: Mapping[str, str]
    git: Git
    hardware: Hardware
    slurm: SlurmJob | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """How this process's GPU computed: whether tf32 was allowed, and which algorithms cuDNN and PyTorch could choose.

    With `cudnn_benchmark`, cuDNN tries algorithms first. With `deterministic`, PyTorch refuses the other algorithms.
    """

    tf32_products: bool
    tf32_cudnn: bool
    cudnn_benchmark: bool
    cudnn_deterministic: bool
    deterministic: bool


INSTALLED = Git(commit="unknown", dirty=None)  # an installed package, which its version identifies


def environment(threads: int, git: Git) -> Environment:
    """Return the Python, packages, source and hardware of this process. `git` is the result of `git_state`."""
    python, system = software()
    return Environment(python=python, platform=system, packages=packages(), git=git, hardware=hardware(threads))


@cache
def software() -> tuple[str, str]:
    """Return the versions of Python and the operating system. Fills the cache of `packages` too."""
    packages()
    return platform.python_version(), platform.platform()


@cache
def packages() -> dict[str, str]:
    """Return the installed version of each package that can change a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state() -> Git:
    """Return the commit of the checkout that this package is imported from, and whether the package has changes.

    Other files of the checkout cannot change a result unseen: a job's id covers its suite, its settings and the user's
    code. So results and settings that earlier runs left there do not count.

    Returns `INSTALLED` for an installed package, even if its virtual environment lies inside some repository. If you
    copy a clean checkout without its `.git` to another machine, set GRAPE_BENCH_COMMIT to its commit.
    """
    if named := os.environ.get(COMMIT):
        if not re.fullmatch("[0-9a-f]{40}", named):
            raise UserError(
                f"{named!r} is not a commit", where=COMMIT, allowed="the 40 hex digits that `git rev-parse HEAD` prints"
            )
        return Git(commit=named, dirty=False)
    root = Path(grape_bench.__file__).resolve().parent.parent
    top = _printed("git", "rev-parse", "--show-toplevel", cwd=root)
    commit = _printed("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=root)
    if top is None or commit is None or Path(top).resolve() != root:
        return INSTALLED
    return Git(commit=commit, dirty=bool(_printed("git", "status", "--porcelain", "--", "grape_bench", cwd=root)))


def _printed(*command: str, cwd: Path | None = None) -> str | None:
    """Return the output of a command, or None if it is missing or fails."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware(threads: int) -> Hardware:
    """Return the hardware of this machine. `kind` is its hardware class, within which times are comparable."""
    cpu, cores, gpu = cpu_name(), core_count(), gpu_name()
    kind = hardware_class(cpu, cores, gpu) + (f" {_gpu_stack(cpu)}" if gpu else "")
    return Hardware(kind=kind, cpu=cpu, cores=cores, gpu=gpu, threads=threads)


def _gpu_stack(cpu: str) -> str:
    """Return what changes the speed of a GPU: driver, CUDA, cuDNN, CPU, and the jobs that share it."""
    import torch

    cudnn_version: Callable[[], int | None] = torch.backends.cudnn.version  # torch gives it no types
    stack = f"driver {driver_version()}, CUDA {torch.version.cuda}, cuDNN {cudnn_version()}, {cpu}"
    jobs = int(os.environ.get(GPU_JOBS, "1"))
    return f"({stack})" + (f", {jobs} jobs at once" if jobs > 1 else "")


@cache
def driver_version() -> str:
    """Return the version of the NVIDIA kernel driver, such as 580.159.04, or "unknown"."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found.group() if found else "unknown"


@cache
def cpu_name() -> str:
    """Return the model name of the CPU."""
    if sys.platform == "darwin":
        return _printed("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def core_count() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_name() -> str | None:
    """Return the name of the GPU that torch uses, or None if there is none or torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))
