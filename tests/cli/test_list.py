"""`grape-bench list`: the rules by family, and one rule in detail."""

from __future__ import annotations

import json

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


def test_suites_fit_the_terminal_and_one_suite_has_its_file() -> None:
    every = listed("suites")
    assert "core 1.0: 16 rules, 5 seeds\n  mnist1d-mlp, " in every and ".toml" not in every
    file = CliRunner().invoke(cli, ["list", "suites", "core"]).output.splitlines()[-1]
    assert file.endswith("suites/core.toml")


def test_json_has_every_kind_and_one_rule_with_its_settings() -> None:
    every = json.loads(CliRunner().invoke(cli, ["list", "--json"]).stdout)
    assert list(every) == ["suites", "rules", "models", "datasets", "objectives"]
    assert {"quickstart", "vision-small"} <= {one["name"] for one in every["suites"]}
    (grape,) = json.loads(CliRunner().invoke(cli, ["list", "rules", "grape", "--json"]).stdout)
    assert grape["settings"]["perturbations"] == 1 and grape["to tune"] == {"feedback_lr": {"log": [0.001, 1.0]}}
    (anchored,) = json.loads(CliRunner().invoke(cli, ["list", "rules", "dfa+anchor", "--json"]).stdout)
    assert anchored["name"] == "dfa+anchor"


def test_models_by_a_pattern_show_size_input_and_the_sweep() -> None:
    found = listed("models", "timm:deit_*")
    row = next(line for line in found.splitlines() if "timm:deit_tiny_patch16_224" in line)
    assert row.split() == ["timm:deit_tiny_patch16_224", "5.7", "M", "3x224x224", "yes"]
    assert "family" in next(line for line in found.splitlines() if "timm:deit_base_patch16_224" in line)
    assert "more: a narrower pattern, or --all" in listed("models", "timm:*")
    assert "more" not in listed("models", "timm:deit_*", "--all")


def test_data_sets_show_size_input_and_place() -> None:
    row = next(line for line in listed("datasets").splitlines() if line.strip().startswith("digits"))
    assert row.split() == ["digits", "1,295", "359", "1x8x8", "sample", "built", "in"]


def test_an_unknown_model_has_suggestions() -> None:
    result = CliRunner().invoke(cli, ["list", "models", "timm:resnet19"])
    assert result.exit_code == 2 and "did you mean" in result.output and "timm:resnet18" in result.output
