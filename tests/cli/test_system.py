"""What the commands say about each operating system."""

from __future__ import annotations

import sys

import psutil
import pytest
import torch
from click.testing import CliRunner

import grape_bench as gb
from grape_bench.cli import doctor
from grape_bench.cli.main import COMMANDS, cli
from grape_bench.cli.system import check_system, this_system

assert psutil.LINUX, "psutil has asked for the system before a test pretends another one"
REFUSAL = "grape-bench does not run on Windows, but on Linux and macOS\n  try: WSL (https://learn.microsoft.com"


@pytest.mark.parametrize(
    ("platform", "name", "support"),
    [
        ("linux", "Linux", "supported"),
        ("darwin", "macOS", "not tested by us"),
        ("freebsd14", "freebsd14", "not tested by us"),
    ],
)
def test_a_system_that_jobs_run_on(platform: str, name: str, support: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    check_system()
    assert this_system().name == name and support in this_system().support


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"doctor"}))
def test_on_windows_every_command_is_refused_in_one_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    result = CliRunner().invoke(cli, [name, "quickstart"])
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith(f"error: {REFUSAL}") and result.stderr.count("\n") == 2


def test_on_windows_a_suite_is_refused_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(gb.UserError, match="does not run on Windows"):
        gb.run("quickstart")


def system_line() -> doctor.Finding:
    return next(line for line in doctor.findings() if line.name == "system")


def test_the_doctor_says_what_is_supported_and_how_jobs_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system_line().state == "Linux: supported, every test runs on it; jobs start by fork"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert system_line().state == "macOS: expected to work, not tested by us; jobs start by spawn"
    monkeypatch.setattr(sys, "platform", "win32")
    line = system_line()
    assert (line.state, line.ok) == ("Windows: not supported", False) and line.fix.startswith("WSL")


def test_the_doctor_says_that_the_gpu_of_a_mac_stays_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mps" not in [line.name for line in doctor._devices()]
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    lines = {line.name: line for line in doctor._devices()}
    assert lines["mps"].state == "not used, because PyTorch's mps has no float64; jobs run on the CPU"
    assert lines["cuda"].fix == "" and "GiB" in lines["memory"].state
