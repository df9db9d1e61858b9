"""The description of the machine and the source."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.record import environment as room
from grape_bench.record.environment import INSTALLED, Git, environment, git_state


def test_versions_hardware_and_threads() -> None:
    found = environment(3, Git(commit="0f", dirty=False))
    assert found.packages["torch"]
    assert found.hardware.threads == 3
    assert found.hardware.kind.startswith(("cpu:", "cuda:"))
    assert found.git == Git(commit="0f", dirty=False)


def test_the_environment_names_the_commit_of_a_copy_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(room.COMMIT, "0f" * 20)
    assert git_state() == Git(commit="0f" * 20, dirty=False)
    monkeypatch.setenv(room.COMMIT, "main")
    with pytest.raises(UserError, match="'main' is not a commit"):
        git_state()


def test_a_shared_gpu_has_its_own_hardware_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "gpu_name", lambda: "NVIDIA Test")
    alone = environment(1, INSTALLED).hardware.kind
    monkeypatch.setenv(room.GPU_JOBS, "8")
    shared = environment(1, INSTALLED).hardware.kind
    assert alone.startswith("cuda:NVIDIA Test (driver ")
    assert all(f"{part} " in alone for part in ("driver", "CUDA", "cuDNN"))
    assert shared == f"{alone}, 8 jobs at once"


def test_git_only_where_the_package_is_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    for package in ("grape_bench", "venv/site-packages/grape_bench"):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text("")
    monkeypatch.setattr(room.grape_bench, "__file__", str(tmp_path / "grape_bench" / "__init__.py"))
    assert git_state() == INSTALLED
    git("init")
    git("add", "grape_bench")
    git("commit", "-m", "first")
    state = git_state()
    assert len(state.commit) == 40
    assert state.dirty is False, "venv/ is neither committed nor ignored, but it is not the package"
    (tmp_path / "grape_bench" / "rule.py").write_text("")
    assert git_state().dirty is True
    inside = tmp_path / "venv" / "site-packages" / "grape_bench" / "__init__.py"
    monkeypatch.setattr(room.grape_bench, "__file__", str(inside))
    assert git_state() == INSTALLED


@pytest.mark.parametrize(("printed", "name"), [("Apple M2", "Apple M2"), (None, platform.machine())])
def test_the_cpu_of_a_mac(printed: str | None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(room, "_printed", lambda *command: printed if command[0] == "sysctl" else None)
    assert room.cpu_name.__wrapped__() == name
