"""`grape-bench list`: the rules by family, and one rule in detail."""

from __future__ import annotations

from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.rules.names import RULES


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["list", *arguments], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.output.splitlines())
    return result.output


def test_every_rule_has_a_line_below_its_family() -> None:
    words = listed("rules").split()
    assert set(RULES.shipped) <= set(words)
    assert words.index("feedback") < words.index("fa") < words.index("dfa")


def test_one_rule_says_where_it_comes_from_what_it_takes_and_what_to_tune() -> None:
    found = listed("rules", "grape")
    for part in ("Caillon", "perturbations = 1", "feedback_lr in 0.001 to 1 (log)", "the equation"):
        assert part in found
    assert "refresh = 8" in listed("rules", "grape-lazy")
    assert "batches = 1" in listed("rules", "dfa+anchor")


def test_a_users_rule_is_unchecked() -> None:
    found = listed("rules", "examples/rules/noisy_dfa.py:NoisyDFA")
    assert "unchecked" in found and "noise" in found


def test_an_unknown_rule_has_suggestions() -> None:
    result = CliRunner().invoke(cli, ["list", "rules", "grpae"])
    assert result.exit_code == 2 and "did you mean 'grape'" in result.output
