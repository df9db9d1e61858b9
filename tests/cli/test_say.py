"""Lines are printed in one place, and quoted text cannot control the terminal."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from grape_bench.cli.say import as_json, say, say_json
from grape_bench.errors import printable
from tests.hostile.names import NAMES, made

CLI = Path(__file__).parents[2] / "grape_bench" / "cli"


@pytest.mark.parametrize("name", [*NAMES, *map(made, range(20))])
def test_a_name_is_only_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"results/{name}: recomputed", word="FAILED")
    first, *rest = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert first.startswith("FAILEDresults/") and printable(first) == first
    assert all(line.startswith(" ") and printable(line) == line for line in rest if line)


def test_a_password_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    say("MLflow   http://me:secret@host", err=True)
    assert capsys.readouterr().err == "MLflow   http://host\n"


def test_a_number_that_is_not_finite_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"loss": math.nan, "range": (-math.inf, 1.5), "rows": [{"n": 2, "p": math.inf}]})
    found = json.loads(capsys.readouterr().out)
    assert found == {"loss": None, "range": [None, 1.5], "rows": [{"n": 2, "p": None}]}


@click.command()
@as_json
def noisy(json: bool) -> None:
    say("a note")
    if json:
        say_json({"n": 1})
    print("from the user's code")
    Console().print("a table")
    raise SystemExit(3)


def test_with_json_all_else_goes_to_stderr_and_the_exit_code_stays() -> None:
    result = CliRunner().invoke(noisy, ["--json"])
    assert result.exit_code == 3 and json.loads(result.stdout) == {"n": 1}
    assert result.stderr == "a note\nfrom the user's code\na table\n"
    plain = CliRunner().invoke(noisy, [])
    assert plain.exit_code == 3 and plain.stdout == result.stderr and plain.stderr == ""


@pytest.mark.parametrize("file", sorted(CLI.glob("*.py")), ids=lambda file: file.name)
def test_commands_print_in_no_other_way(file: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"print", "click.secho", "Console", "sys.stdout.write"}
    assert "click.echo" not in calls or file.name == "say.py"
