"""Where a job ran: versions, source and hardware, as far as they can change its result or its speed."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import grape_bench
from grape_bench.errors import UserError
from grape_bench.record.parts import Environment, Git, Hardware

COMMIT = "GRAPE_BENCH_COMMIT"
"""Names the commit of a copy of the source that has no git folder."""
GPU_JOBS = "GRAPE_BENCH_GPU_JOBS"
"""How many jobs share this job's GPU; the local executor sets it."""
INSTALLED = Git(commit="unknown", dirty=None)  # the source of an installed package, which its version stands for
PACKAGES = (
    "grape-bench",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "datasets",
    "numpy",
    "scikit-learn",
)


def environment(threads: int, git: Git) -> Environment:
    """Python, packages, source and hardware of this process; `git` is what `git_state` found."""
    python, system = software()
    return Environment(python=python, platform=system, packages=packages(), git=git, hardware=hardware(threads))


@cache
def software() -> tuple[str, str]:
    """The versions of Python and of the operating system; finds `packages` too."""
    packages()
    return platform.python_version(), platform.platform()


@cache
def packages() -> dict[str, str]:
    """The installed version of each package that takes part in a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state() -> Git:
    """Commit of the checkout that this package is imported from, and whether files in it were changed.

    `INSTALLED` for an installed package: a repository that merely surrounds the virtual environment says nothing about
    this code. Whoever copies a clean checkout without its `.git` to another machine names its commit in
    GRAPE_BENCH_COMMIT.
    """
    if named := os.environ.get(COMMIT):
        if not re.fullmatch("[0-9a-f]{40}", named):
            raise UserError(
                f"{named!r} is not a commit", where=COMMIT, allowed="the 40 hex digits of git rev-parse HEAD"
            )
        return Git(commit=named, dirty=False)
    root = Path(grape_bench.__file__).resolve().parent.parent
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root:
        return INSTALLED
    return Git(commit=commit, dirty=bool(_git(root, "status", "--porcelain")))


def _git(root: Path, *arguments: str) -> str | None:
    """The output of a git command, or None where there is no git or it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware(threads: int) -> Hardware:
    """The machine."""
    cpu, cores, gpu = cpu_name(), core_count(), gpu_name()
    kind = _gpu_class(gpu, cpu) if gpu else f"cpu:{cpu}x{cores}"
    return Hardware(kind=kind, cpu=cpu, cores=cores, gpu=gpu, threads=threads)


def _gpu_class(gpu: str, cpu: str) -> str:
    """A GPU with what changes its speed: driver, CUDA, cuDNN, the CPU that launches, and how many jobs share it."""
    import torch

    cudnn = torch.backends.cudnn.version()
    stack = f"driver {driver_version()}, CUDA {torch.version.cuda}, cuDNN {cudnn}, {cpu}"
    jobs = int(os.environ.get(GPU_JOBS, "1"))
    return f"cuda:{gpu} ({stack})" + (f", {jobs} jobs at once" if jobs > 1 else "")


@cache
def driver_version() -> str:
    """NVIDIA's driver as its kernel module names it, such as 580.159.04; "unknown" where it does not say."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found.group() if found else "unknown"


@cache
def cpu_name() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def core_count() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_name() -> str | None:
    """The model of the GPU that torch uses here, if torch is loaded and there is one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))
