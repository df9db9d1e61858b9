"""The records of a folder that make its table, whatever commands ran in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grape_bench.record.environment import Git
from grape_bench.record.folder import read_folder
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest, read_manifest
from grape_bench.record.record import write_record
from grape_bench.score.table import score
from grape_bench.track.runs import read_runs
from tests.record.test_job import JOB
from tests.track.records import record

GIT = Git(commit="0f", dirty=False)
FULL = [replace(JOB, seed=seed, rule=rule) for seed in range(3) for rule in ("bp", "dfa")]


def run(folder: Path, jobs: Sequence[Job], *overrides: str, finished: bool = True) -> None:
    """Leave in `folder` what a command with these jobs leaves."""
    path = folder / "manifest.json"
    manifest = read_manifest(path) if path.is_file() else Manifest("small", "1.0", GIT, [])
    manifest.joined(jobs, overrides).write(folder)
    for job in jobs if finished else ():
        (folder / job.name).mkdir(exist_ok=True)
        write_record(folder / job.name, replace(record(), job=job, id=job.id, name=job.name))


def table(folder: Path, wanted: Sequence[Job] = ()) -> set[str]:
    return {one.id for one in read_folder(folder).found([job.id for job in wanted]).records}


def ids(jobs: Sequence[Job]) -> set[str]:
    return {job.id for job in jobs}


def changed(jobs: Sequence[Job], **values: object) -> list[Job]:
    return [replace(job, **values) for job in jobs]


def test_a_command_with_fewer_rules_or_seeds_hides_nothing(tmp_path: Path) -> None:
    run(tmp_path, FULL)
    run(tmp_path, FULL[:1])
    assert table(tmp_path) == table(tmp_path, FULL[:1]) == ids(FULL)
    assert read_folder(tmp_path).found().note == ""


def test_one_debugging_epoch_hides_nothing_and_has_a_table_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, FULL)
    debug = changed(FULL[:2], epochs=1)
    run(tmp_path, debug, "task.epochs=1")
    assert table(tmp_path) == ids(FULL) and table(tmp_path, debug) == ids(debug)
    assert read_folder(tmp_path).found().note.endswith("not in this table: 2 with --set task.epochs=1")


def test_the_suites_own_settings_count_although_more_jobs_have_others(tmp_path: Path) -> None:
    run(tmp_path, changed(FULL, epochs=1), "task.epochs=1")
    assert table(tmp_path) == ids(changed(FULL, epochs=1)), "the only results"
    run(tmp_path, FULL[:2])
    assert table(tmp_path) == ids(FULL[:2])


def test_of_equally_many_results_the_last_planned_count(tmp_path: Path) -> None:
    run(tmp_path, FULL)
    run(tmp_path, changed(FULL, epochs=7))  # after an edit of the suite file
    assert table(tmp_path) == ids(changed(FULL, epochs=7))
    run(tmp_path, FULL)
    assert table(tmp_path) == ids(FULL)


def test_a_rule_with_other_settings_for_a_moment(tmp_path: Path) -> None:
    run(tmp_path, FULL)
    other = changed(FULL[1:2], rule_settings={"scale": 2.0})
    run(tmp_path, other, "rule.dfa.scale=2.0")
    assert table(tmp_path) == ids(FULL)
    assert table(tmp_path, other) == ids([*FULL[::2], *other]), "bp is the same under both"


def test_old_code_of_a_rule_never_shares_a_table_with_the_new(tmp_path: Path) -> None:
    run(tmp_path, FULL)
    new = changed(FULL[1:2], rule_source="f" * 16)
    run(tmp_path, new, finished=False)
    assert table(tmp_path) == ids(FULL[::2]), "the new code has no result yet"
    run(tmp_path, new)
    assert table(tmp_path) == ids([*FULL[::2], *new])
    assert read_folder(tmp_path).found().note.endswith("3 with other settings or code")


def test_results_on_other_code_or_data_of_the_task_never_share_a_table(tmp_path: Path) -> None:
    for number, values in enumerate(({"model_source": "f" * 16}, {"numerics": {"trainer": 2}})):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(folder, FULL)
        run(folder, changed(FULL[:1], **values))
        assert table(folder) == ids(changed(FULL[:1], **values))


def test_results_on_other_files_of_a_named_data_set(tmp_path: Path) -> None:
    run(tmp_path, FULL[:2])  # from before the content was recorded
    run(tmp_path, changed(FULL[2:4], data_content="a" * 16))
    assert table(tmp_path) == ids(FULL[:4])
    run(tmp_path, changed(FULL[4:], data_content="b" * 16))
    assert table(tmp_path) == ids([*FULL[:2], *FULL[4:]])


def test_files_and_folders_that_have_moved_stay_in_one_table(tmp_path: Path) -> None:
    def at(folder: str, jobs: Sequence[Job]) -> list[Job]:
        moved = changed(jobs, dataset=f"csv:{folder}/data", contents={"dataset": "f" * 16})
        return [replace(job, rule=f"{folder}/my.py:Mine") if job.rule == "dfa" else job for job in moved]

    run(tmp_path, at("here", FULL[:4]))
    run(tmp_path, at("there", FULL[2:]))
    records = read_folder(tmp_path).found().records
    assert ids(at("here", FULL)) == {one.id for one in records}
    assert list(score(records)["rule"]) == ["bp", "there/my.py:Mine"] and set(score(records)["n"]) == {3}
    assert read_runs(tmp_path).records == records, "what a report reads"


def test_a_job_that_a_suite_plans_by_itself_needs_no_override(tmp_path: Path) -> None:
    run(tmp_path, FULL)
    run(tmp_path, FULL[:2], "task.epochs=2")
    assert not any(read_manifest(tmp_path / "manifest.json").when(job.id).overrides for job in FULL)


def test_open_settings_join_the_table_of_their_task_whatever_the_others_were_tuned_with(tmp_path: Path) -> None:
    tuned = changed(FULL, trials=8)
    opened = changed(FULL[::2], rule="bp:open", optimizer={"name": "adamw", "lr": 0.3})
    run(tmp_path, opened)
    assert table(tmp_path) == ids(opened), "the only results"
    run(tmp_path, [*FULL, *opened], "untuned")
    run(tmp_path, tuned)
    assert table(tmp_path) == ids([*tuned, *opened])
    assert table(tmp_path, FULL) == ids([*FULL, *opened])
    assert {one.id for one in read_folder(tmp_path).found().untuned} == ids(FULL)
    other = changed(opened, epochs=7)
    run(tmp_path, other, "task.epochs=7")
    assert table(tmp_path) == ids([*tuned, *opened]), "they belong to another budget of the task"


def test_new_open_settings_replace_the_old_ones(tmp_path: Path) -> None:
    opened = changed(FULL[::2], rule="bp:open")
    better = changed(opened, optimizer={"name": "adamw", "lr": 0.3})
    run(tmp_path, [*FULL, *opened])
    run(tmp_path, [*FULL, *better])
    assert table(tmp_path) == ids([*FULL, *better])


def test_a_suite_that_is_tuned_later_keeps_its_first_runs_as_the_untuned_line(tmp_path: Path) -> None:
    run(tmp_path, FULL)  # before there were tuned settings
    tuned = changed(FULL, trials=8)
    run(tmp_path, tuned)
    run(tmp_path, FULL, "untuned", finished=False)  # all jobs are done already
    found = read_folder(tmp_path).found()
    assert {one.id for one in found.records} == ids(tuned) and {one.id for one in found.untuned} == ids(FULL)
