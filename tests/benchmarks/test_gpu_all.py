"""The command for whoever has a GPU: its parts, on a CPU."""

import sys
import tarfile
import time
from pathlib import Path

import pytest

from benchmarks import gpu_all
from benchmarks.gpu_all import Part
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import NO_OVERRIDES, Overrides

ROOT = Path(__file__).parents[2]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_part_that_fails_or_hangs_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    parts = [
        Part("fails", 30, python("import sys; print('before'); sys.exit(3)")),
        Part("hangs", 0.1, python("import time; time.sleep(60)")),
        Part("works", 30, python("print('done')")),
    ]
    monkeypatch.setattr(gpu_all, "parts", lambda *_: parts)
    assert gpu_all.main(["--out", str(tmp_path), "--dry-run"]) == 1
    codes = [line.split(" after")[0] for line in (tmp_path / "summary.txt").read_text().splitlines()]
    assert codes == ["fails: exit code 3", "hangs: exit code 124", "works: exit code 0"]
    assert (tmp_path / "fails.txt").read_text() == "before\n"
    assert (tmp_path / "works.txt").read_text() == "done\n"


def test_the_records_so_far_are_packed_after_every_part(tmp_path, monkeypatch):
    (tmp_path / "jobs" / "suite").mkdir(parents=True)
    (tmp_path / "jobs" / "suite" / "record.json").write_text("{}")
    monkeypatch.setattr(gpu_all, "parts", lambda *_: [Part("fails", 30, python("raise SystemExit(1)"))])
    gpu_all.main(["--out", str(tmp_path), "--dry-run"])
    with tarfile.open(tmp_path / "jobs.tar.gz") as archive:
        assert "jobs/suite/record.json" in archive.getnames()


def test_a_second_call_runs_what_did_not_end_well_and_nothing_else(tmp_path, monkeypatch):
    log = tmp_path / "log"
    command = python(f"open({str(log)!r}, 'a').write('ran ')")
    monkeypatch.setattr(gpu_all, "parts", lambda *_: [Part("good", 30, command), Part("bad", 30, python("1 / 0"))])
    for _ in range(2):
        assert gpu_all.main(["--out", str(tmp_path), "--dry-run"]) == 1
    assert log.read_text() == "ran "
    assert [line.split(" after")[0] for line in (tmp_path / "summary.txt").read_text().splitlines()] == [
        "good: exit code 0",
        "bad: exit code 1",
        "bad: exit code 1",
    ]


def test_a_part_gets_the_rest_of_the_budget_at_most_and_no_part_starts_without_time(tmp_path, monkeypatch):
    limits = {}

    def run_part(part, out, data, limit_s):
        limits[part.name] = limit_s
        time.sleep(0.2)
        return f"{part.name}: exit code 0 after 0 s"

    monkeypatch.setattr(gpu_all, "run_part", run_part)
    monkeypatch.setattr(gpu_all, "parts", lambda *_: [Part(name, 30, []) for name in ("first", "late")])
    assert gpu_all.main(["--out", str(tmp_path), "--budget", str(gpu_all.LEAST_S + 0.1)]) == 1
    assert 0 < limits.pop("first") <= gpu_all.LEAST_S + 0.1
    assert not limits
    assert (tmp_path / "summary.txt").read_text().splitlines()[1].startswith("late: not started, ")


def test_the_jobs_are_those_of_the_paper_on_data_that_can_be_carried(tmp_path):
    suite = gpu_all.with_tasks(ROOT / "suites" / "paper-full.toml", gpu_all.TASKS, tmp_path)
    settings = tuple(f"{task}.dataset={dataset}" for task, dataset in gpu_all.OWN_DATA.items())
    own = make_plan(str(suite), Overrides(settings=settings)).jobs
    whole = {job.id for job in make_plan("paper-full", NO_OVERRIDES).jobs}
    assert {job.task for job in own} == {"mnist-cnn", "cifar10-cnn"}
    assert all((job.id in whole) == (job.task == "mnist-cnn") for job in own)  # part of CIFAR-10 is another task
    commands = {part.name: part.command for part in gpu_all.parts(tmp_path, False, "paper-full")}
    assert str(suite) in commands["jobs"]


def test_the_first_seed_of_gpu_small_runs_alone_on_the_card_to_be_timed(tmp_path):
    commands = {part.name: part.command for part in gpu_all.parts(tmp_path, False, "gpu-small")}
    assert list(commands).index("jobs-timed") < list(commands).index("jobs")
    assert commands["jobs-timed"][-4:] == ["--seeds", "1", "--slots", "1"]


def test_tables_come_before_jobs_and_fit_into_the_budget_with_time_for_them(tmp_path):
    every = gpu_all.parts(tmp_path, False, "paper-full")
    names = [part.name for part in every]
    before = every[: names.index("jobs")]
    assert [part.name for part in before] == ["about", "tests", "cost-mlp", "layer-parallel", "rounds"]
    assert sum(part.limit_s for part in before) <= gpu_all.BUDGET_S - 120


@pytest.mark.slow
def test_the_dry_run_passes(tmp_path):
    assert gpu_all.main(["--out", str(tmp_path), "--dry-run"]) == 0, (tmp_path / "summary.txt").read_text()
    assert {"cost-mlp.csv", "rounds.csv", "table.csv", "jobs.tar.gz"} <= {path.name for path in tmp_path.iterdir()}
