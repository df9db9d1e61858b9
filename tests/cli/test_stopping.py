"""Ctrl-C and SIGTERM in a process that outlives the command, such as a notebook, and in one that does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from grape_bench.cli import run
from grape_bench.cli.stopping import Stopped
from grape_bench.cli.sweep import OWN_PROCESS, executing

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@executing
def interrupted(**_: Any) -> None:
    """A user presses Ctrl-C, and again during the cleanup."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except Stopped:
        os.kill(os.getpid(), signal.SIGINT)
        click.echo("cleaned up")
        raise


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[Any]]:
    """A notebook's handlers. The test's end restores what was there before, such as a background job's."""
    before = [signal.getsignal(each) for each in SIGNALS]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield [signal.getsignal(each) for each in SIGNALS]
    for each, handler in zip(SIGNALS, before, strict=True):
        signal.signal(each, handler)


def call(**more: Any) -> Result:
    return CliRunner().invoke(interrupted, [], **more)


def test_a_command_puts_the_signal_handlers_back_so_that_it_can_be_stopped_again(handlers: list[Any]) -> None:
    for _ in range(2):
        stopped = call()
        assert (stopped.exit_code, stopped.stdout) == (130, "cleaned up\n")
        assert stopped.stderr == "stopped while no job was running; run the same command again to resume.\n"
        assert [signal.getsignal(each) for each in SIGNALS] == handlers
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_are_back_after_a_user_error_too(tmp_path: Path, handlers: list[Any]) -> None:
    for _ in range(2):
        assert CliRunner().invoke(run.command, [str(tmp_path / "gone.toml")]).exit_code != 0
        assert [signal.getsignal(each) for each in SIGNALS] == handlers


def test_a_process_that_ends_with_the_command_keeps_ignoring_later_signals() -> None:
    assert call(obj=OWN_PROCESS).exit_code == 130
    assert {signal.getsignal(each) for each in SIGNALS} == {signal.SIG_IGN}
