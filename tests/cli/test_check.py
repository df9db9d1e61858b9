"""`grape-bench new` and `grape-bench check`: from no file to a checked rule."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grape_bench.cli.main import cli

WRONG = """
import grape_bench as gb


class Wrong(gb.DirectFeedback):
    def bp_fraction(self, batches, epochs):
        return 0.5
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_new_rule_passes_its_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = call("new", "my_rule.py")
    assert made.exit_code == 0 and "grape-bench check my_rule.py:MyRule" in made.output
    # Anchors on the other models are in tests/contract.
    for rule, models, checks in (("my_rule.py:MyRule", (), 40), ("my_rule.py:MyRule+anchor", ("--model", "mlp"), 10)):
        result = call("check", rule, *models)
        assert result.exit_code == 0, result.output
        assert result.output.splitlines()[-1] == f"{rule}: all {checks} checks passed"
    assert all(len(line) <= 80 for line in result.output.splitlines())


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    result = call("new", str(path))
    assert result.exit_code == 2 and "the file already exists" in result.stderr
    assert path.read_text() == "x = 1\n"


@pytest.mark.parametrize("name", ["my_rule", "2nd.py", "none/rule.py"])
def test_a_bad_name_is_a_mistake(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("new", name)
    assert result.exit_code == 2 and result.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_a_broken_rule_is_exit_code_1_and_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    result = call("check", f"{path}:Wrong")
    assert result.exit_code == 1
    assert "mlp      bp_fraction       FAILED  bp_fraction(4, 2) declares 0.5, but 0 was" in result.output
    assert result.output.endswith(": 40 checks, 4 failed\n")


def test_json_has_a_verdict_and_a_reason_for_each_promise(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    result = call("check", f"{path}:Wrong", "--model", "mlp", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1 and found["rule"] == f"{path}:Wrong" and found["ok"] is False
    (broken,) = [one for one in found["results"] if one["verdict"] != "ok"]
    assert (broken["case"], broken["promise"], broken["verdict"]) == ("mlp", "bp_fraction", "FAILED")
    assert "declares 0.5" in broken["reason"] and len(found["results"]) == 10


@pytest.mark.parametrize(("rule", "message"), [("dfaa", "did you mean 'dfa'"), ("gone.py:Rule", "no file 'gone.py'")])
def test_an_unknown_rule_is_exit_code_2(rule: str, message: str) -> None:
    result = call("check", rule)
    assert result.exit_code == 2 and message in result.stderr
