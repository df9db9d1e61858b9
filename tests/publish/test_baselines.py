"""Recorded jobs come from the maintainers' baselines only, after their checks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.publish import baselines
from grape_bench.publish.baselines import baseline_folder, read_baselines, recorded_jobs
from grape_bench.record.folder import read_folder
from tests.publish.authored import RECORDED, edit, publish, runs_of


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def poisoned(folder: Path) -> Path:
    """The recorded runs, in which DFA looks bad: a number that its curve and its test samples do not give."""
    shutil.copytree(RECORDED, folder / "runs")
    edit(runs_of(folder, "dfa"), lambda record: record["result"].update(test=5.0))
    return folder


def test_the_recorded_runs_of_quickstart_pass_their_checks() -> None:
    found = read_baselines(RECORDED)
    assert not found.refused
    equal = [record for record in found.records if not record.job.rule_name.is_open]
    assert [record.job.trials for record in equal] == [8] * 80 and len(found.records) == 100
    assert [record.job.trials for record in found.untuned] == [1] * 80


def test_a_poisoned_untuned_line_is_refused_too(here: Path) -> None:
    shutil.copytree(RECORDED, here / "runs")
    untuned = {record.name for record in read_folder(here / "runs").found().untuned}
    edit(
        [run for run in runs_of(here, "dfa") if run[0].name in untuned],
        lambda record: record["result"].update(test=5.0),
    )
    assert "the check scores fails" in read_baselines(here / "runs").refused


def test_poisoned_baselines_are_refused_with_the_reason(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "RESULTS", here / "nowhere")
    poisoned(here / "results" / "quickstart")
    found, refused = recorded_jobs("quickstart")
    assert not found
    assert len(refused) == 1 and "are not used: the check scores fails" in refused[0]


def test_other_folders_of_results_are_never_used(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "RESULTS", here / "nowhere")
    shutil.copytree(RECORDED, here / "results" / "aaa" / "runs")  # of quickstart, in the folder of another suite
    (here / "author").mkdir()
    shutil.copytree(publish(here / "author"), here / "results" / "quickstart" / "Mine")
    assert recorded_jobs("quickstart") == ({}, [])


def test_a_submission_or_a_link_is_no_baseline(here: Path) -> None:
    submission = publish(here)
    shutil.copytree(submission, here / "results" / "quickstart" / "runs")
    shutil.copyfile(RECORDED / "manifest.json", here / "results" / "quickstart" / "runs" / "manifest.json")
    assert baseline_folder(here / "results", "quickstart") is None
    (here / "results" / "linked").mkdir()
    (here / "results" / "linked" / "runs").symlink_to(RECORDED)
    assert baseline_folder(here / "results", "linked") is None


def test_a_poisoned_folder_changes_no_comparison(here: Path) -> None:
    command = ["compare", "fa", "--against", "dfa", "--suite", "quickstart", "--tracking-uri", "none"]
    before = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert before.exit_code == 0 and "jobs are already recorded" in before.output, before.output
    poisoned(here / "results" / "aaa")
    poisoned(here / "results" / "quickstart" / "Mine")
    poisoned(here / "results" / "quickstart")
    after = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert after.stdout == before.stdout
    assert after.stderr.count("are not used") == 1
