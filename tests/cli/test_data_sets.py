"""A user's own data through the commands, and bad data, which stops before anything is written."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grape_bench.plan.expand import make_plan
from tests.cli.small_suite import run, write

LOADER = """
import numpy as np

def load(count=60):
    x = np.random.default_rng(0).normal(size=(count, 4))
    return {"train": (x, (x[:, 0] > 0).astype(int)), "test": (x[:20], (x[:20, 0] > 0).astype(int))}
"""


def write_task(dataset: str, args: str = "") -> None:
    write(dataset, f"dataset_args = {{ {args} }}")


def write_tables(train: dict[str, Any], test: dict[str, Any] | None = None, name: str = "train") -> None:
    Path("mine").mkdir()
    pq.write_table(pa.table(train), f"mine/{name}.parquet")
    if test:
        pq.write_table(pa.table(test), "mine/test.parquet")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def test_a_loader_from_a_file_runs() -> None:
    Path("mine.py").write_text(LOADER)
    write_task("mine.py:load", "count = 80")
    done = run()
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("runs/small/table.csv").read_text().splitlines()))
    assert [(row["rule"], row["metric"]) for row in rows] == [("bp", "accuracy"), ("dfa", "accuracy")]


def test_the_file_of_a_data_set_is_part_of_the_id_and_its_path_is_not() -> None:
    def identity(name: str, text: str) -> str:
        Path(name).write_text(text)
        write_task(f"{name}:load")
        return make_plan("small.toml").jobs[0].id

    assert identity("one.py", LOADER) == identity("two.py", LOADER) != identity("one.py", LOADER + "# changed\n")
    write_task("digits")
    assert make_plan("small.toml").jobs[0].dataset_source == ""


def test_the_file_of_an_augmentation_is_part_of_the_id_and_its_path_is_not() -> None:
    def identity(name: str, text: str) -> str:
        Path(name).write_text(text)
        write_task("digits", f'augment_with = "{name}:same"')
        return make_plan("small.toml").jobs[0].id

    text = "def same(images, generator):\n    return images\n"
    assert identity("one.py", text) == identity("two.py", text) != identity("one.py", text + "# changed\n")


NODES = {"features": [[1.0]] * 4, "neighbours": [[1], [0], [3], [2]], "label": [0, 1, 0, 1]}


@pytest.mark.parametrize(
    ("train", "test", "args", "said"),
    [
        ({"a": [1.0, 2.0], "target": [1.0, 2.0]}, None, 'target_column = "b"', "no split 'test'"),
        ({"a": [1.0], "label": [0]}, {"b": [1.0], "label": [0]}, "", "unknown column 'a'"),
        ({"text": ["some text"] * 9}, {"text": [""]}, "", "the text is empty"),
        ({"a": [1.0, 2.0], "label": [3, 3]}, {"a": [1.0], "label": [3]}, "", "the same label"),
        ({"a": [1.0, float("nan")] * 9, "label": [0, 1] * 9}, {"a": [1.0], "label": [0]}, "", "holds NaN"),
        ({"a": [1.0, float("inf")] * 9, "label": [0, 1] * 9}, {"a": [1.0], "label": [0]}, "", "or infinity"),
        ({"ids": [[1, 2]] * 9}, {"ids": [[1, 9]]}, "vocabulary = 8", "the token id 9 is beyond the vocabulary"),
        ({"series": [[1.0], [1.0, 2.0]] * 9, "label": [0, 1] * 9}, {"series": [[1.0]], "label": [0]}, "", "pad"),
    ],
)
def test_bad_tables_leave_nothing(train: dict, test: dict | None, args: str, said: str) -> None:
    write_tables(train, test)
    refused(args, said)


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({"val_mask": [False, True, False, False], "test_mask": [False, False, True, True]}, "in the train split"),
        ({part: [True] * 4 for part in ("train_mask", "val_mask", "test_mask")}, "a node is in several splits"),
    ],
)
def test_bad_graphs_leave_nothing(masks: dict[str, list[bool]], said: str) -> None:
    write_tables({**NODES, **masks}, name="graph")
    refused("", said)


def refused(args: str, said: str) -> None:
    """The run ends with exit code 2 and this message, and leaves no record."""
    write_task("parquet:mine", args)
    done = run()
    assert done.exit_code == 2 and said in " ".join(done.output.split()) and "Traceback" not in done.output
    assert not list(Path().rglob("record.json")) and not list(Path().rglob("curve.csv"))
