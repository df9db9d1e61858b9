"""A rule whose file ends the process gets one message and exit code 2, from every command that loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from tests.execute.misbehavior import Case, Misbehavior, suite, write_rule

EXITS = Misbehavior("exits", "sys.exit(0)", "")
VANISHES = Misbehavior("vanishes", "os._exit(0)", "")
RAISES = Misbehavior("raises", "raise RuntimeError('\\x1b[2J')", "")


@pytest.mark.parametrize("command", ["check", "plan", "run"])
@pytest.mark.parametrize(
    ("what", "moment", "said"),
    [
        (EXITS, "import", "importing it raised SystemExit: 0"),
        (RAISES, "import", r"importing it raised RuntimeError: \x1b[2J"),
        (VANISHES, "import", "the process ended with exit code 0"),
        (VANISHES, "setup", "the process ended with exit code 0"),
    ],
)
def test_a_rule_that_ends_the_process(
    command: str, what: Misbehavior, moment: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rule = write_rule(tmp_path, Case(what, moment, everywhere=True))
    path = str(suite(tmp_path, [rule]))
    arguments = {"check": [rule, "--model=mlp"], "plan": [path], "run": [path, "--tracking-uri=none"]}[command]
    result = CliRunner().invoke(cli, [command, *arguments])
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0] and "Traceback" not in result.output
    assert not (tmp_path / "runs").exists()
