"""One place prints lines, and nothing that it quotes can act."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from grape_bench.cli.say import say
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


@pytest.mark.parametrize("file", sorted(CLI.glob("*.py")), ids=lambda file: file.name)
def test_commands_print_in_no_other_way(file: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"print", "click.secho", "Console", "sys.stdout.write"}
    assert "click.echo" not in calls or file.name == "say.py"
