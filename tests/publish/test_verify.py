"""Every change in a published folder is found and reported by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grape_bench import network
from grape_bench.errors import UserError
from grape_bench.publish.index import INDEX, write_index
from grape_bench.publish.pack import About, pack
from grape_bench.publish.rerun import draw
from grape_bench.publish.verify import verify
from grape_bench.record.job import Job

RECORDED = Path(__file__).parents[2] / "results" / "vision-small" / "runs"
JOB = "cifar10-cnn.grape.s1"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(RECORDED, "grape", tmp_path_factory.mktemp("results"), About(paper='A "quoted" paper'))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "grape"))


def failing(folder: Path) -> list[str]:
    return [outcome.name for outcome in verify(folder).outcomes if not outcome.ok]


def job(folder: Path, name: str = JOB) -> Path:
    (found,) = (folder / "runs").glob(f"{name}.*")
    return found


def edit(folder: Path, change: Callable[[dict[str, Any]], None], name: str = JOB) -> None:
    path = job(folder, name) / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record, indent=1) + "\n")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_table_from_before_the_columns_metric_and_value_passes(folder: Path) -> None:
    table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    table.drop(columns=["metric", "value", "value_ci"]).to_csv(folder / "table.csv", index=False)
    write_index(folder)
    assert failing(folder) == []
    table.drop(columns=["accuracy"]).to_csv(folder / "table.csv", index=False)
    write_index(folder)
    assert failing(folder) == ["table"]


def test_a_table_of_an_older_score_version_says_what_to_do(folder: Path) -> None:
    table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    table.drop(columns=["score_version"]).to_csv(folder / "table.csv", index=False)
    write_index(folder)
    (outcome,) = [outcome for outcome in verify(folder).outcomes if not outcome.ok]
    assert "scores of version 1" in str(outcome) and "publish the runs again" in str(outcome)


def test_an_unchanged_publication_passes_every_check(folder: Path) -> None:
    verification = verify(folder)
    assert [(o.name, o.problems) for o in verification.outcomes if not o.ok] == []
    assert verification.badge == "recomputed"
    assert verification.submission.card.paper == 'A "quoted" paper'
    rules = {record.rule for record in verification.submission.records.values()}
    assert rules == {"grape", "bp", "head-only", "frozen", "dfa"}


# Changed without a new index. The hashes detect it first.


def test_a_changed_file(folder: Path) -> None:
    replace(folder / "table.csv", "0.606994", "0.996994")
    assert failing(folder) == ["files", "table"]


def test_a_missing_file(folder: Path) -> None:
    (job(folder) / "curve.csv").unlink()
    assert failing(folder) == ["files", "curves"]


def test_an_added_file(folder: Path) -> None:
    (folder / "conftest.py").write_text("raise SystemExit")
    assert failing(folder) == ["files"]


# Changed by someone who also rewrites the index. The content must still be consistent.


def better_table(folder: Path) -> None:
    replace(folder / "table.csv", "0.606994", "0.996994")


def better_validation(folder: Path) -> None:
    edit(folder, lambda record: record["result"].update(validation=99.0))


def longer_training(folder: Path) -> None:
    edit(folder, lambda record: record["job"].update(epochs=40))


def another_seed(folder: Path) -> None:
    edit(folder, lambda record: (record.update(seed=7), record["job"].update(seed=7)))


def a_run_left_out(folder: Path) -> None:
    shutil.rmtree(job(folder))


def a_run_twice(folder: Path) -> None:
    shutil.copytree(job(folder), folder / "runs" / "copy")


def uncommitted_changes(folder: Path) -> None:
    edit(folder, lambda record: record["environment"]["git"].update(dirty=True))


def another_suite_version(folder: Path) -> None:
    replace(folder / "suite.toml", 'version = "2.0"', 'version = "3.0"')


def another_task(folder: Path) -> None:
    replace(folder / "suite.toml", "epochs = 4", "epochs = 8")


def chosen_on_the_test_split(folder: Path) -> None:
    replace(folder / "rule.toml", '"validation"', '"test"')


def accuracy_on_test_while_training(folder: Path) -> None:
    replace(job(folder) / "curve.csv", "train_loss", "train_loss_and_test")


def a_trial_of_the_search(folder: Path) -> None:
    edit(folder, lambda record: record["job"].update(trials=20))


def another_rule(folder: Path) -> None:
    text = (folder / "rule.toml").read_text()
    source = text.partition('source = "')[2][:16]
    replace(folder / "rule.toml", source, "0123456789abcdef")


def not_a_number(folder: Path) -> None:
    edit(folder, lambda record: record["result"].update(test=float("nan")))


def an_old_schema(folder: Path) -> None:
    edit(folder, lambda record: record.update(schema=0))


def half_a_record(folder: Path) -> None:
    (job(folder) / "record.json").write_text('{"schema": 1, ')


def a_failure_hidden(folder: Path) -> None:
    edit(folder, lambda record: record.update(status="crashed", result=None))


def a_curve_cut_short(folder: Path) -> None:
    path = job(folder) / "curve.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def a_wider_margin(folder: Path) -> None:
    edit(folder, lambda record: record["job"].update(margin=0.9))


FORGERIES = [
    (better_table, "table"),
    (better_validation, "curves"),
    (longer_training, "identity"),
    (another_seed, "identity"),
    (a_run_left_out, "plan"),
    (a_run_twice, "identity"),
    (uncommitted_changes, "environment"),
    (another_suite_version, "suite"),
    (another_task, "suite"),
    (a_wider_margin, "suite"),
    (chosen_on_the_test_split, "selection"),
    (accuracy_on_test_while_training, "selection"),
    (a_trial_of_the_search, "selection"),
    (another_rule, "source"),
    (not_a_number, "records"),
    (an_old_schema, "records"),
    (half_a_record, "records"),
    (a_failure_hidden, "table"),
    (a_curve_cut_short, "curves"),
]


@pytest.mark.parametrize(("forge", "check"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_forgery_with_a_new_index(folder: Path, forge: Callable[[Path], None], check: str) -> None:
    forge(folder)
    write_index(folder)
    found = failing(folder)
    assert check in found and "files" not in found
    assert verify(folder).badge == "reported"


def with_cuts_of_another_version(record: dict[str, Any]) -> None:
    """A record that is consistent: its id and name match its job."""
    record["job"]["numerics"] = {**record["job"].get("numerics", {}), "cuts": 3}
    made = Job.from_dict(record["job"])
    record.update(id=made.id, name=made.name)


def test_a_part_in_two_versions_is_named(folder: Path) -> None:
    edit(folder, with_cuts_of_another_version)
    moved = job(folder)
    moved.rename(moved.with_name(json.loads((moved / "record.json").read_text())["name"]))
    write_index(folder)
    assert failing(folder) == ["numerics", "table"]
    problems = {outcome.name: outcome.problems for outcome in verify(folder).outcomes}
    assert problems["numerics"] == ("cuts has numerics 2 (dfa, frozen, grape, head-only) and 3 (grape)",)


def test_a_publication_from_an_older_engine_passes_but_is_not_rerun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "NUMERICS", 3)
    assert failing(folder) == []
    with pytest.raises(UserError, match=r"different numerics than this version has: cuts 2 \(now 3\)"):
        draw(verify(folder).submission, 1, 0)


def test_an_installed_version_counts_as_a_commit(folder: Path) -> None:
    installed = {"commit": "unknown", "dirty": None}
    edit(folder, lambda record: record["environment"].update(git=installed))
    write_index(folder)
    assert failing(folder) == []
    edit(folder, lambda record: record["environment"]["packages"].pop("grape-bench"))
    write_index(folder)
    assert failing(folder) == ["environment"]


def test_verifying_executes_nothing(folder: Path) -> None:
    trap = folder / "source.py"
    trap.write_text("raise SystemExit('executed')")
    write_index(folder)
    assert failing(folder) == ["source"]  # its hash, not its content


@pytest.mark.parametrize("name", ["record.json", "curve.csv"])
def test_binary_files_and_links_are_not_read(folder: Path, name: str) -> None:
    path = job(folder) / name
    path.write_bytes(b"\xff\xfe")
    write_index(folder)
    assert failing(folder)[0] in ("records", "curves")
    path.unlink()
    path.symlink_to("/dev/zero")
    write_index(folder)
    assert failing(folder)[:2] in (["files", "records"], ["files", "curves"])


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd"])
def test_an_index_with_a_path_outside_its_folder(folder: Path, name: str) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["files"][name] = "0" * 64
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match="points outside the folder"):
        verify(folder)


@pytest.mark.parametrize("missing", [INDEX, "rule.toml", "suite.toml"])
def test_a_folder_that_is_not_a_publication_is_a_user_error(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(UserError):
        verify(folder)
