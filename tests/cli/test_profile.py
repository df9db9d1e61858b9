import io
import json
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from grape_bench.cli.main import cli
from grape_bench.cli.profile import parallel, table


def profile(*arguments: str):
    small = (
        "--model",
        "mlp",
        "--model-args",
        "hidden=[32, 32]",
        "--shape",
        "16",
        "--batch-size",
        "8",
        "--seconds",
        "0.5",
    )
    return CliRunner().invoke(cli, ["profile", *small, *arguments])


def test_it_prints_ratios_to_bp_and_writes_them(tmp_path, monkeypatch):
    """The memory is measured in processes of its own, in the next test, which is slow."""
    monkeypatch.setattr("grape_bench.cost.rules.peak_memory", lambda subject, rule: 1)
    file = tmp_path / "cost.csv"
    result = profile("--rule", "dfa", "--csv", str(file))
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    table = pd.read_csv(file)
    assert list(table.rule) == ["bp", "dfa"] and table.time[0] == 1


MODEL = """
from torch import nn

print("made by hand")


def make(shape, classes):
    return nn.Sequential(nn.Linear(*shape, 16), nn.ReLU(), nn.Linear(16, classes))
"""


@pytest.mark.slow
def test_json_has_the_rows_of_the_csv_and_no_line_of_the_models_own_code(tmp_path):
    (tmp_path / "own.py").write_text(MODEL)
    given = ["--model", "own.py:make", "--shape", "16", "--batch-size", "8", "--seconds", "0.2", "--rule", "dfa"]
    command = [sys.executable, "-m", "grape_bench", "profile", *given, "--csv", "cost.csv", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    found = json.loads(result.stdout)
    assert found["model"] == "own.py:make" and found["batch_size"] == 8 and found["bp_flops"] > 0
    assert all(row["memory_bytes"] > 0 for row in found["rules"])
    written = pd.read_csv(tmp_path / "cost.csv")
    pd.testing.assert_frame_equal(pd.DataFrame(found["rules"]), written, rtol=1e-4, check_dtype=False)
    assert "made by hand" in result.stderr


def test_a_long_name_of_a_rule_cuts_no_number_off(monkeypatch):
    row = dict.fromkeys(("time", "memory", "flops", "tangents", "critical", "attach", "time_low", "time_high"), 123.456)
    row |= {f"{name}_share": 1.0 for name in ("forward", "tangents", "credit", "update")}
    row |= dict.fromkeys(("layer_parallel", "pipeline_2", "pipeline_4", "pipeline_8"), 12.345)
    row["rule"] = "a/long/folder/my_rules.py:TernaryDirectFeedback+anchor lean"
    monkeypatch.setattr("grape_bench.cost.rules.rows", lambda costs: [row])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table([]), parallel([]))
    text = console.export_text()
    assert "…" not in text and "123.46 (123.46-123.46)" in text and text.count("123.46") == 8
    assert text.count("12.35") + text.count("12.34") == 4 and "100 %" in text
    assert "my_rules.py" not in text and "TernaryDirect" in text


def test_mistakes_are_answered_in_one_message():
    assert profile("--rule", "dfaa").exit_code == 2
    assert profile("--shape", "a,b").exit_code == 2
    malformed = profile("--model-args", "hidden")
    assert malformed.exit_code == 2 and "--model-args hidden: not of the form KEY=VALUE" in malformed.stderr
    twice = profile("--model-args", "hidden=[8]")
    assert twice.exit_code == 2 and "--model-args hidden=[8]: hidden is given twice" in twice.stderr
