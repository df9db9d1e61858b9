"""`grape-bench doctor`: what this machine has, what is missing, and how to fix it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import click

from grape_bench.cli.say import as_json, say, say_json
from grape_bench.cli.system import WSL, this_system

FOR = {
    "slurm": "--executor slurm",
    "ray": "--executor ray",
    "graph": "models of graphs",
    "spiking": "spiking models",
    "docs": "the documentation as a site",
}
"""What each optional extra is for."""


@dataclass(frozen=True)
class Finding:
    """One line of output. `ok` is False if something is missing or wrong, and `fix` says what to type."""

    topic: str
    name: str
    state: str
    ok: bool = True
    fix: str = ""


@click.command("doctor")
@as_json
def command(json: bool) -> None:
    """Show versions, devices, data folders and caches, and how to get what is missing. Changes nothing."""
    found = list(findings())
    if json:
        say_json([asdict(finding) for finding in found])
        return
    topic = ""
    for finding in found:
        if finding.topic != topic:
            topic = finding.topic
            say(topic)
        mark, color = ("ok ", "green") if finding.ok else ("-  ", "yellow")
        say(f" {finding.name:<16} {finding.state}", before="  ", word=mark, color=color)
        if finding.fix:
            say(f"{'':24}{finding.fix}")


def findings() -> Iterator[Finding]:
    """All findings, by topic."""
    yield from _versions()
    yield from _extras()
    yield from _devices()
    yield from _folders()
    yield from _data()
    yield from _tools()


def _versions() -> Iterator[Finding]:
    from grape_bench.execute.start import method
    from grape_bench.record.environment import INSTALLED, git_state, packages, software

    here = this_system()
    state = f"{here.name}: {here.support}"
    if here.supported:
        yield Finding("versions", "system", f"{state}; jobs start by {method()}")
    else:
        yield Finding("versions", "system", state, ok=False, fix=WSL)
    python, system = software()
    yield Finding("versions", "python", f"{python} on {system}")
    for name, number in packages().items():
        yield Finding("versions", name, number)
    git = git_state()
    if git == INSTALLED:
        yield Finding("versions", "source", "an installed package")
    elif git.dirty:
        fix = "commit before a run that you want to publish"
        state = f"commit {git.commit[:12]}, with uncommitted changes in grape_bench"
        yield Finding("versions", "source", state, ok=False, fix=fix)
    else:
        yield Finding("versions", "source", f"commit {git.commit[:12]}")


def _extras() -> Iterator[Finding]:
    """Whether the packages of each optional extra are installed."""
    wanted = requires("grape-bench") or []
    for extra, purpose in FOR.items():
        names = [one.partition(";")[0].strip() for one in wanted if f'extra == "{extra}"' in one.replace("'", '"')]
        absent = [name for name in map(_project, names) if not _installed(name)]
        fix = f"pip install 'grape-bench[{extra}]'" if absent else ""
        state = f"for {purpose}" + (f": no {', '.join(absent)}" if absent else "")
        yield Finding("extras", extra, state, ok=not absent, fix=fix)


def _project(requirement: str) -> str:
    return requirement.split("[")[0].rstrip("<>=!~.0123456789, ")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _devices() -> Iterator[Finding]:
    import torch

    from grape_bench.execute.gpus import MPS, default_slots
    from grape_bench.record.environment import core_count, cpu_name

    yield Finding("devices", "cpu", f"{cpu_name()}, {core_count()} cores")
    yield Finding("devices", "memory", f"{_memory() / 2**30:.1f} GiB")
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        yield Finding("devices", f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.1f} GiB")
    if not torch.cuda.is_available():
        fix = (
            ""
            if torch.version.cuda or sys.platform == "darwin"
            else "a CUDA build of PyTorch: https://pytorch.org/get-started"
        )
        yield Finding("devices", "cuda", "no GPU: jobs run on the CPU", fix=fix)
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", MPS)
    yield Finding("devices", "jobs at once", f"{default_slots()} (--slots N)")


def _memory() -> int:
    """This machine's memory, in bytes."""
    if sys.platform != "linux":
        import psutil

        return int(psutil.virtual_memory().total)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _folders() -> Iterator[Finding]:
    from grape_bench.data.cache import folder as cache
    from grape_bench.data.names import VARIABLE

    given = os.environ.get(VARIABLE)
    if not given:
        yield Finding("folders", "data", f"${VARIABLE} is not set", ok=False, fix=f"export {VARIABLE}=DIR")
    elif not Path(given).expanduser().is_dir():
        yield Finding("folders", "data", f"no folder {given} (${VARIABLE})", ok=False, fix=f"mkdir -p {given}")
    else:
        yield Finding("folders", "data", f"{given} (${VARIABLE})")
    yield _writable("cache", cache(), "$GRAPE_BENCH_CACHE")
    hub = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    yield _writable("Hugging Face", hub, "$HF_HOME")
    yield _writable("results", Path("runs"), "--out")


def _writable(name: str, folder: Path, setting: str) -> Finding:
    """Whether a folder, or the nearest one above it that exists, can be written, and how much space is free."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = f"{shutil.disk_usage(nearest).free / 2**30:.0f} GiB free"
    state = f"{folder} ({setting}), {free}" + ("" if folder.is_dir() else ", made when needed")
    if os.access(nearest, os.W_OK):
        return Finding("folders", name, state)
    return Finding("folders", name, f"{folder} cannot be written", ok=False, fix=f"another folder, with {setting}")


def _data() -> Iterator[Finding]:
    """The named data sets, grouped by where they are, and how to get the missing ones."""
    from grape_bench.data.known import known_datasets
    from grape_bench.data.names import VARIABLE

    fixes = {"Hub": "grape-bench data prepare NAME", "missing": f"put the files into ${VARIABLE}/NAME"}
    for place in ("built in", "here", "Hub", "missing"):
        names = [known.dataset for known in known_datasets() if known.place == place]
        if names:
            yield Finding("data sets", place, ", ".join(names), ok=place not in fixes, fix=fixes.get(place, ""))


def _tools() -> Iterator[Finding]:
    from grape_bench.publish.sandbox import missing

    isolated = missing()
    state = isolated or "confines the code of verify --rerun"
    fix = "apt install bubblewrap" if isolated and sys.platform == "linux" else ""
    yield Finding("tools", "bubblewrap", state, ok=not isolated, fix=fix)
    for name, purpose in {"git": "the commit in records", "sbatch": "--executor slurm", "latex": "table.tex"}.items():
        where = shutil.which(name)
        yield Finding("tools", name, where or f"not found, for {purpose}", ok=where is not None)
