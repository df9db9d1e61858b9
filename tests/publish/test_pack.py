import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.publish.card import Card, read_card
from grape_bench.publish.pack import About, pack
from grape_bench.record.record import read_record
from tests.publish.test_verify import RECORDED


def test_a_card_is_read_as_it_was_written() -> None:
    space = {"lr": {"log": [1e-4, 0.1]}, "strange key": {"choice": ["a", True, 'quo"te']}}
    card = Card(name="x+anchor", version="1", source="0" * 16, weight_transport=True, bp_fraction=0.5, space=space)
    assert read_card(card.to_toml(), "here") == card
    with pytest.raises(UserError, match="here: not a rule card"):
        read_card(card.to_toml().replace("weight_transport", "weights"), "here")


def test_equal_runs_have_equal_content(tmp_path: Path) -> None:
    folders = [pack(RECORDED, "grape", tmp_path / name, About()) for name in "ab"]
    first, second = (json.loads((folder / "index.json").read_text()) for folder in folders)
    assert first == second and folders[0] == tmp_path / "a" / "vision-small" / "grape"


def test_nothing_is_overwritten_without_replace(tmp_path: Path) -> None:
    folder = pack(RECORDED, "grape", tmp_path, About())
    with pytest.raises(UserError, match="this folder exists"):
        pack(RECORDED, "grape", tmp_path, About())
    pack(RECORDED, "grape", tmp_path, About(version="2.0"), replace=True)
    assert 'version = "2.0"' in (folder / "rule.toml").read_text()
    assert [path.name for path in folder.parent.iterdir()] == ["grape"]


def test_a_rule_with_only_untuned_runs_in_a_tuned_table_is_told_to_tune(tmp_path: Path) -> None:
    runs = shutil.copytree(RECORDED.parents[1] / "quickstart" / "runs", tmp_path / "runs")
    for path in runs.glob("*.grape.*/record.json"):
        if read_record(path).job.trials > 1:
            shutil.rmtree(path.parent)
    with pytest.raises(UserError, match="'grape' has only untuned runs here") as error:
        pack(runs, "grape", tmp_path / "results", About())
    options = "quickstart --rule grape"
    assert error.value.hint == f"grape-bench tune {options} --only grape && grape-bench run {options}"


def test_a_rule_without_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown rule 'grap'; did you mean 'grape'"):
        pack(RECORDED, "grap", tmp_path, About())
    with pytest.raises(UserError, match="no records in this folder"):
        pack(tmp_path / "nowhere", "grape", tmp_path, About())
    assert not list(tmp_path.iterdir())


def test_a_suite_file_that_lost_its_last_lines_is_one_message(tmp_path: Path) -> None:
    runs = shutil.copytree(RECORDED, tmp_path / "runs")
    (runs / "suite.toml").write_text('name = "vision-small"\n')
    with pytest.raises(UserError, match=r"suite\.toml: version: 'version' is missing"):
        pack(runs, "grape", tmp_path / "results", About())


def test_the_packages_behind_the_runs_can_be_installed_again(tmp_path: Path) -> None:
    folder = pack(RECORDED, "grape", tmp_path, About())
    record = json.loads(next(folder.glob("runs/*.grape.s0.*/record.json")).read_text())
    python, *pinned = (folder / "constraints.txt").read_text().splitlines()
    packages = record["environment"]["packages"]
    assert python == f"# Python {record['environment']['python']}" and f"numpy=={packages['numpy']}" in pinned
    assert all(re.fullmatch(r"[a-z-]+==[0-9.]+", line) for line in pinned)  # no build, host or path
    assert len(pinned) == len(packages) - 1 and not any(line.startswith("grape-bench") for line in pinned)


def test_records_that_hold_what_the_rule_declares_are_published_without_torch(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(RECORDED, runs)
    for path in runs.glob("*/record.json"):
        record = json.loads(path.read_text())
        if record.get("credit"):
            path.write_text(json.dumps(record | {"credit": record["credit"] | {"declared_transport": False}}))
    code = f"""
import sys
from pathlib import Path
from grape_bench.publish.pack import About, pack
from grape_bench.publish.verify import verify
folder = pack(Path({str(runs)!r}), "grape", Path({str(tmp_path / "out")!r}), About())
assert verify(folder).submission.card.weight_transport is False
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
