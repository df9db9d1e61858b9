"""`grape-bench show`: one run in 80 columns."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.record.record import read_record, write_record
from grape_bench.record.table import write_table
from grape_bench.report.run import sparkline
from tests.score.records import changed, make, with_parts
from tests.score.test_verdict import SOUND


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs" / "quickstart"
    for rule, test in (("dfa", 90.0), ("head-only", 60.0)):
        found = {**SOUND, "moments": 3, "descent": 0.75, "update_descent": 0.5, "zoutendijk": 12.0}
        record = make(rule, 0, test, diagnostics=found, data={"sizes": {"test": 1000}}, profile=None)
        spent = {"train_s": 12.0, "steps": 400, "diagnose_s": 0.4, "samples": 300}
        record = with_parts(changed(record, epochs=3), time=spent)
        job = folder / record.name
        job.mkdir(parents=True)
        write_record(job, record)
        losses = {1: 2.0, 2: 1.0, 3: 2.0 / 3}
        write_table(
            job / "curve.csv",
            [
                {"epoch": e, "samples": 100 * e, "seconds": e, "train_loss": loss, "validation_accuracy": test}
                for e, loss in losses.items()
            ],
        )
        rows = [
            {"step": step, "samples": step, "block": block, "signal_cos": 0.1 * step / 200, "growth": 1.5}
            for step in (0, 200, 400)
            for block in ("hidden.0", "(hidden)", "(network)")
        ]
        write_table(job / "diagnostics.csv", rows)
    return tmp_path / "runs"


def show(*arguments):
    return CliRunner().invoke(cli, ["show", *map(str, arguments)])


def test_settings_outcome_curve_blocks_verdict_and_why(runs):
    result = show("digits-mlp.dfa", "--out", runs)
    assert result.exit_code == 0, result.output
    for part in ("digits-mlp  dfa  seed 0", "lr = 0.001", "test 90.00", "train loss", "█▂▁", "2 → 0.6667", "▁▁▂ 0.20"):
        assert part in result.output, part
    assert "verdict  trained" in result.output and "+30.00 ± 2.99 to head-only (1 seed)" in result.output
    assert "diagnostics 0.4 s" in result.output and "75 % of the probe batches" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_a_run_is_found_by_folder_file_name_and_id(runs):
    folder = next((runs / "quickstart").glob("*.dfa.*"))
    identity = json.loads((folder / "record.json").read_text())["id"]
    expected = show(folder).output
    assert "verdict" in expected
    assert show(folder / "record.json").output == show(identity[:6], "--out", runs).output == expected


def test_a_missing_or_ambiguous_run_is_a_user_error(runs, tmp_path):
    none = show("digits-mlp.dfq", "--out", runs)
    assert none.exit_code == 2 and "did you mean 'digits-mlp.dfa" in none.output
    both = show("digits-mlp", "--out", runs)
    assert (
        both.exit_code == 2
        and "2 runs have a name that starts with this" in both.output
        and "grape-bench show" in both.output
    )
    empty = show("x", "--out", tmp_path / "elsewhere")
    assert empty.exit_code == 2 and "no runs" in empty.output


def test_of_two_budgets_the_run_in_the_folders_table_is_shown(runs, monkeypatch):
    """After `run --set task.epochs=1`, a name means the run with the suite's own budget."""
    own = next((runs / "quickstart").glob("*.dfa.*"))
    shutil.copytree(own, own.with_name("digits-mlp.dfa.s0.ffffffff"))
    table = [read_record(own / "record.json")]
    monkeypatch.setattr("grape_bench.record.folder.read_records", lambda folder: table)
    assert show("digits-mlp.dfa", "--out", runs).exit_code == 0
    table.clear()
    assert "2 runs have a name that starts with this" in show("digits-mlp.dfa", "--out", runs).output


def test_json_has_the_record_and_the_verdict(runs):
    found = json.loads(show("digits-mlp.dfa", "--out", runs, "--json").stdout)
    assert found["rule"] == "dfa" and found["verdict"]["word"] == "trained" and found["verdict"]["reasons"]


def test_a_record_alone_is_enough(runs):
    folder = next((runs / "quickstart").glob("*.dfa.*"))
    for name in ("curve.csv", "diagnostics.csv"):
        (folder / name).unlink()
    assert "verdict  trained" in show(folder).output


def test_sparklines():
    assert sparkline([0, 1, 2, 3]) == "▁▃▆█" and sparkline([0.0, 0.5, 1.0], low=0, high=2) == "▁▃▅"
    assert sparkline([float("nan"), 1.0, 1.0]) == "·▅▅" and sparkline([]) == ""
    assert len(sparkline(list(range(100)), width=10)) == 10 and sparkline([-5.0, 9.0], low=0, high=1) == "▁█"
