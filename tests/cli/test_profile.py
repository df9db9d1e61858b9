import pandas as pd
from click.testing import CliRunner

from grape_bench.cli.main import cli


def profile(*arguments: str):
    small = (
        "--model",
        "mlp",
        "--model-arg",
        "hidden=[32, 32]",
        "--shape",
        "16",
        "--batch-size",
        "8",
        "--seconds",
        "0.5",
    )
    return CliRunner().invoke(cli, ["profile", *small, "--seconds", "0.5", *arguments])


def test_it_prints_ratios_to_bp_and_writes_them(tmp_path):
    file = tmp_path / "cost.csv"
    result = profile("--rule", "dfa", "--csv", str(file))
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    table = pd.read_csv(file)
    assert list(table.rule) == ["bp", "dfa"] and table.time[0] == 1


def test_mistakes_are_answered_in_one_message():
    assert profile("--rule", "dfaa").exit_code == 2
    assert profile("--shape", "a,b").exit_code == 2
    assert profile("--model-arg", "hidden").exit_code == 2
