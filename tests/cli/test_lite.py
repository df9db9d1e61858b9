"""`grape-bench run SUITE --lite`, on the recorded quickstart."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import Result

import grape_bench as gb
from grape_bench.plan.expand import make_plan, make_tuning_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.publish import baselines
from grape_bench.record.folder import read_folder
from grape_bench.report import settings
from grape_bench.score.table import score
from tests.cli.small_suite import command
from tests.score.trials import records_of

RULE = """\
import grape_bench as gb


class Mine(gb.DirectFeedback):
    def signal(self, block, error):
        return self.project(error, block)
"""
MINE = ("--rule", "mine.py:Mine")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "mine.py").write_text(RULE)
    return tmp_path


def tune() -> None:
    """Write settings of the rule as if it had been searched."""
    plan = make_tuning_plan("quickstart", Overrides(rules=MINE[1:]))
    trials = records_of([job for job in plan.jobs if job.rule == MINE[1]], best=2)
    settings.write(settings.chosen(plan.suite, trials), Path("baselines/quickstart"))


def lite(*arguments: str, suite: str = "quickstart") -> Result:
    return command("run", suite, "--lite", "--tracking-uri", "none", "--slots", "2", *arguments)


def refused(result: Result) -> str:
    """The message of a command that was refused."""
    assert result.exit_code == 2 and not result.stdout
    return " ".join(result.stderr.split())


def test_one_row_beside_the_recorded_ones(folder: Path) -> None:
    tune()
    result = lite(*MINE)
    assert result.exit_code == 0, result.output
    jobs = [json.loads(path.read_text())["job"] for path in folder.glob("runs/quickstart/*/record.json")]
    assert sorted((job["task"], job["rule"], job["seed"]) for job in jobs) == [
        ("digits-mlp", MINE[1], 0),
        ("mnist1d-mlp", MINE[1], 0),
    ]
    rows = re.findall(r"^Mine‡ +\d+\.\d\d \(1\)† .*$", result.output, re.MULTILINE)
    assert len(rows) == 2 and "‡ lite: one seed, 2 of 2 tasks." in " ".join(result.output.split())
    assert len(re.findall(r"^Mine‡ +– +– +– +– +one pass", result.output, re.MULTILINE)) == 2, "no words, no verdict"
    for row in gb.load("quickstart").to_dict("records"):
        found = re.search(
            rf"^{re.escape(row['rule'])} +{row['accuracy']:.2f} ± {row['accuracy_ci']:.2f} \(5\)", result.output, re.M
        )
        assert bool(found) is not row["rule"].endswith(":open"), "open settings are shown with --open"
    for line in gb.load("quickstart").attrs["best"].values():
        assert line in result.output, "the best recorded rule stays the best"

    whole = {job.id for job in make_plan("quickstart", Overrides(rules=MINE[1:])).jobs}
    again = lite(*MINE)
    assert "all 2 jobs are already done" in again.output and rows == re.findall(r"^Mine‡ .*†.*$", again.output, re.M)
    assert {json.loads(path.read_text())["id"] for path in folder.glob("runs/quickstart/*/record.json")} < whole


def test_an_untuned_rule_stands_next_to_the_untuned_baselines_and_is_told_how_to_be_tuned(folder: Path) -> None:
    result = lite(*MINE)
    assert result.exit_code == 0, result.output
    assert "to compare tuned rules: grape-bench tune quickstart --rule mine.py:Mine --only Mine" in result.output
    assert "Settings: the suite's own, untuned." in " ".join(result.output.split())
    untuned = read_folder(baselines.RESULTS / "quickstart" / "runs").found().untuned
    for row in score(untuned).to_dict("records"):
        assert re.search(rf"^{re.escape(row['rule'])} +{row['accuracy']:.2f} ± .* \(5\)", result.output, re.M)
    assert len(re.findall(r"^Mine‡ +\d+\.\d\d \(1\)† .*$", result.output, re.MULTILINE)) == 2


def test_where_only_tuned_baselines_are_recorded_an_untuned_rule_must_be_tuned_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = folder / "tuned" / "quickstart" / "runs"
    shutil.copytree(baselines.RESULTS / "quickstart" / "runs", tuned)
    for record in read_folder(tuned).found().untuned:
        shutil.rmtree(tuned / record.name)
    monkeypatch.setattr(baselines, "RESULTS", folder / "tuned")
    message = refused(lite(*MINE))
    assert "have tuned settings, and these rules have none: Mine" in message
    assert "try: grape-bench tune quickstart --rule mine.py:Mine --only Mine" in message
    assert not (folder / "runs").exists()


def test_without_recorded_results_the_message_says_what_to_type(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "RESULTS", folder / "nowhere")
    tune()
    message = refused(lite(*MINE))
    assert "no recorded results of quickstart@2.0 allowed: results/quickstart/runs" in message
    assert "try: grape-bench run quickstart --only bp --only dfa --only frozen, then the same command again" in message


def test_other_settings_than_the_recorded_ones_are_named(folder: Path) -> None:
    message = refused(lite(*MINE, "--set", "task.epochs=1", "--untuned"))
    assert "no recorded results of quickstart@2.0 with these settings" in message
    assert "--only frozen --set task.epochs=1 --untuned, then" in message


def test_a_recorded_rule_needs_no_lite_row(folder: Path) -> None:
    message = refused(lite("--only", "dfa"))
    assert "already recorded, with all seeds: dfa try: grape-bench compare quickstart#dfa quickstart#bp" in message


def test_references_of_ones_own_do_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "RESULTS", folder / "nowhere")
    changes = ("--set", "task.epochs=1", "--untuned")
    done = command("run", "quickstart", "--only", "bp", "--seeds", "1", "--tracking-uri", "none", *changes)
    assert done.exit_code == 0, done.output
    before = (folder / "runs/quickstart/table.csv").read_bytes()
    result = lite(*MINE, *changes)
    assert result.exit_code == 0 and "2 recorded results do not run again" in result.output
    assert re.search(r"^bp .*\n(.*\n)*?Mine‡ ", result.output, re.MULTILINE)
    assert (folder / "runs/quickstart/table.csv").read_bytes() == before, "the folder's table is that of full runs"


def test_it_shows_all_jobs_and_so_takes_no_shard(folder: Path) -> None:
    message = refused(lite(*MINE, "--shard", "1/2"))
    assert "run --lite: --lite needs the records of all jobs, and --shard 1/2 runs only some of them" in message
    assert not (folder / "runs").exists()


def test_it_needs_a_suite(folder: Path) -> None:
    message = refused(command("run", "--lite", "--model", "mlp", "--dataset", "digits", *MINE))
    assert "--lite takes a suite" in message
