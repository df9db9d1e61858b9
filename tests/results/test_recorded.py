"""Recorded results keep their ids and numbers when the code changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grape_bench.plan.expand import make_plan
from grape_bench.plan.numerics import changed
from grape_bench.plan.overrides import Overrides
from grape_bench.publish.baselines import read_baselines
from grape_bench.record.job import Job
from grape_bench.report import csv
from grape_bench.score.table import score
from grape_bench.track.runs import read_runs

ROOT = Path(__file__).parents[2]
RECORDED = sorted(manifest.parents[1] for manifest in (ROOT / "results").glob("*/runs/manifest.json"))
IDS = [folder.name for folder in RECORDED]

CURRENT = {
    *("quickstart", "vision-small", "walk-back", "rules", "order-small", "papers-mnist", "grape-ablations"),
    *("grape-frontier", "depth", "width", "core", "paper", "extensions"),
}
"""The folders that were recorded by this version of the engine. The others name what changed since in their README."""

each = pytest.mark.parametrize("folder", RECORDED, ids=IDS)


def test_these_are_all() -> None:
    assert {"quickstart", "vision-small", "walk-back"} <= set(IDS)
    assert sum(len(list(folder.glob("runs/*/record.json"))) for folder in RECORDED) >= 108


@each
def test_a_record_has_the_id_of_its_job_and_lies_in_a_folder_of_its_name(folder: Path) -> None:
    for path in folder.glob("runs/*/record.json"):
        record = json.loads(path.read_text())
        job = Job.from_dict(record["job"])
        assert (job.id, job.name) == (record["id"], record["name"]) and path.parent.name == job.name


@each
def test_planning_the_recorded_suite_finds_every_job_of_this_engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is planned again only if an integer was raised since. This also tests the frozen `source` of each rule."""
    monkeypatch.chdir(ROOT)  # where tuned settings are looked for
    manifest = json.loads((folder / "runs" / "manifest.json").read_text())
    recorded = [Job.from_dict(entry["job"]) for entry in manifest["jobs"]]
    lines = {
        Overrides(untuned="untuned" in entry.get("overrides", ()), open=job.rule_name.is_open)
        for entry, job in zip(manifest["jobs"], recorded, strict=True)
    }
    plans = [make_plan(str(folder / "runs" / "suite.toml"), line) for line in lines]
    planned = {job.id for plan in plans for job in plan.jobs}
    assert len(planned) == len(recorded)
    assert planned >= {job.id for job in recorded if not changed(job)}
    assert folder.name not in CURRENT or planned == {job.id for job in recorded}


@each
def test_the_records_reproduce_every_number_of_the_table(folder: Path) -> None:
    assert csv.scores_text(score(read_runs(folder).records)) == (folder / "table.csv").read_text()


@pytest.mark.parametrize("suite", sorted(CURRENT))
def test_recorded_results_pass_the_checks_of_baselines(suite: str) -> None:
    """`compare`, `run --lite` and the leaderboard use no others."""
    baselines = read_baselines(ROOT / "results" / suite / "runs")
    assert baselines.refused == "" and baselines.records
