"""The command line before any work starts: fast, and clear about mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import COMMANDS, cli
from tests.plan.suites import write_suite


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_help_imports_nothing_heavy() -> None:
    heavy = ["torch", "pandas", "numpy", "mlflow", "pydantic", "matplotlib", "rich"]
    code = f"""
import sys
sys.argv = ["grape-bench", "--help"]
from grape_bench.cli.main import main
try:
    main()
finally:
    print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "verify: neither FOLDERS nor --since COMMIT\n  try: grape-bench verify results/SUITE/RULE\n"),
        (["verify", "x", "--since", "y"], "verify: either FOLDERS or --since COMMIT, not both\n  try: grape-bench ver"),
        (
            ["publish", "runs/quickstart", "--rule", "Mine", "--allow", "x"],
            "publish --allow: --allow belongs to --anonymous\n  try: add --anonymous\n",
        ),
        (["show", "x", "--script", "--json"], "show: --script and --json exclude each other\n  try: leave out one"),
    ],
)
def test_options_that_do_not_go_together_get_one_message(arguments: list[str], message: str) -> None:
    refused = call(*arguments)
    assert refused.exit_code == 2 and refused.stderr.startswith(f"error: {message}") and not refused.stdout


def test_plan_imports_no_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from grape_bench.plan.expand import make_plan
make_plan({str(write_suite(tmp_path))!r})
print([name for name in ("torch", "pandas", "mlflow") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_help() -> None:
    listed = call("--help").output
    for name in COMMANDS:
        assert f"  {name} " in listed
        assert call(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quikstart"], "unknown suite 'quikstart'; did you mean 'quickstart'?"),
        (["run", "quickstart", "--executor", "lokal"], "unknown executor 'lokal'; did you mean 'local'?"),
        (["run", "quickstart", "--rule", "graep"], "unknown rule 'graep'; did you mean 'grape'"),
        (["run", "quickstart", "--rule", "gone.py:Rule"], "no file 'gone.py'"),
        (["run", "quickstart", "--seeds", "-3"], "seeds: must be at least 1, not -3"),
        (["run", "quickstart", "--seeds", "three"], "'three' is not a valid integer"),
        (["run", "quickstart", "--slots", "0"], "0 is not in the range"),
        (["run", "quickstart", "--set", "task.epochs=zero"], "task 'digits-mlp': epochs: must be an integer"),
        (["plan", "quickstart", "--only", "bpp"], "unknown rule of this suite 'bpp'; did you mean 'bp'?"),
        (["plan", "quickstart", "--only", "wm"], "try: --rule wm, to add it"),
        (["plan", "quickstart", "--set", "rule.wm.lr=0.1"], "unknown rule of this suite 'wm'"),
        (["plan", "quickstart", "--set", "digits-mlp.rule.wm.lr=0.1"], "unknown rule of this suite 'wm'"),
        (["plan", "quickstart", "--set", "rule.dfa=1"], "no rule and key after 'rule'"),
        (["check", "mine.py"], "try: mine.py:NAME, with the name of one in the file"),
        (["show", "runs/x"], "runs/x: no such run, and runs has no runs"),
        (["sync", "gone"], "gone/manifest.json: no such folder"),
        (["verify", "gone"], "gone: not a published folder: it has no index.json"),
        (["blocks", "mlp", "--shape", "0"], "--shape: '0' is not a shape"),
        (["blocks", "mlp", "--shape", "-3,2"], "--shape: '-3,2' is not a shape"),
        (["blocks", "mlp", "--classes", "0"], "0 is not in the range"),
        (["profile", "--model", "mlp", "--seconds", "-2"], "-2.0 is not in the range"),
        (["list", "modles"], "'modles' is not one of"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_an_output_folder_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    result = call("run", "quickstart")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path}/runs: is a file, not a folder\n  try: another folder, with --out DIR\n"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_plan_lists_what_is_to_do(tmp_path: Path) -> None:
    result = call("plan", str(write_suite(tmp_path)), "--out", str(tmp_path / "runs"))
    assert result.exit_code == 0
    assert "12 jobs: 0 done, 12 missing" in result.output
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("suites", "quickstart 2"),
        ("rules", "grape"),
        ("models", "timm:NAME"),
        ("datasets", "digits"),
        ("objectives", "next-token"),
    ],
)
def test_list(kind: str, name: str) -> None:
    assert name in call("list", kind).output
    assert name in call("list").output


def test_a_mistake_in_one_suite_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "broken.toml").write_text('name = "broken"')
    monkeypatch.chdir(tmp_path)
    output = call("list", "suites").output
    assert "broken: 'version' is missing (suites/broken.toml)" in output
    assert "quickstart 2" in output
