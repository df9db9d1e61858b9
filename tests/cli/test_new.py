"""`grape-bench new`: files to start from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli
from grape_bench.plan.expand import make_plan
from grape_bench.rules.make import make_rule


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["new", *arguments])


def test_a_suite_runs_as_it_is_written(folder: Path) -> None:
    assert new("my-suite.toml").output.splitlines() == [
        "wrote my-suite.toml; next steps:",
        "  grape-bench plan my-suite.toml",
        "  grape-bench run my-suite.toml",
    ]
    plan = make_plan("my-suite.toml")
    assert plan.suite.name == "my-suite"
    assert len(plan.jobs) == 3 * 3


def test_the_commented_tables_of_a_suite_are_valid_too(folder: Path) -> None:
    new("my.toml")
    lines = (folder / "my.toml").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line == "# [rule.dfa]")
    tables = [line[2:] for line in lines[start:] if line.startswith("# ") and not line.endswith(":")]
    (folder / "my.toml").write_text("\n".join(lines[:start] + tables))
    suite = make_plan("my.toml").suite
    assert suite.rule == {"dfa": {"lr": 3e-4}}
    assert suite.tuning is not None and suite.tuning.trials == 8


def test_a_rule_can_be_made(folder: Path) -> None:
    new("my_rule.py")
    assert type(make_rule("my_rule.py:MyRule")).__name__ == "MyRule"


@pytest.mark.parametrize("name", ["my.toml", "my_rule.py"])
def test_no_file_is_overwritten(folder: Path, name: str) -> None:
    (folder / name).write_text("mine")
    result = new(name)
    assert result.exit_code == 2
    assert result.stderr == f"error: {name}: the file already exists\n  try: choose another name\n"
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my suite.toml", "the name of the file is not a valid name of a suite"),
        ("1.py", "the name does not give a valid Python class name"),
        ("rule.txt", "rule.txt: neither a rule nor a suite\n  allowed: my_rule.py, or my_suite.toml"),
        ("gone/my.toml", "gone: the folder does not exist"),
    ],
)
def test_a_name_that_cannot_be_used(folder: Path, name: str, message: str) -> None:
    result = new(name)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(folder.iterdir()) == []


def test_every_line_of_a_suite_fits_the_margin(folder: Path) -> None:
    new("my.toml")
    text = (folder / "my.toml").read_text()
    assert max(map(len, text.splitlines())) <= 120
    assert tomllib.loads(text)["task"][0]["dataset"] == "digits"
