"""A publication holds no absolute path of the author's machine, and names code without its folders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grape_bench.publish.portable import portable, portable_suite, without_folders
from grape_bench.record.environment import SlurmJob
from grape_bench.record.parts import Data
from tests.score.records import changed, make


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("File /home/me/rules/my.py, line 3", "File my.py, line 3"),
        ("~/x/y.txt and '/a b'", "y.txt and '/a b'"),
        ("accuracy 3/4, relative/path.py", "accuracy 3/4, relative/path.py"),
        ("https://host/a/b", "https://host/a/b"),
    ],
)
def test_messages(text: str, shown: str) -> None:
    assert without_folders(text) == shown


def test_absolute_paths_become_names_and_the_id_stays() -> None:
    hashes = {"rule_source": "1" * 16, "dataset_source": "", "contents": {"dataset": "2" * 16}}
    job = {"rule": "/home/me/my.py:MyRule+anchor", "dataset": "csv:/home/me/data/iris", **hashes}
    record = changed(make("dfa"), model="/home/me/nets.py:net", model_source="3" * 16, **job)
    lost = {"profile": "OSError: /home/me/x.so"}
    data = Data(name=record.job.dataset, more={"augment_with": "x", "shape": [1, 2]})
    slurm = SlurmJob(job="1", state="x", stdout="/scratch/me/out", stderr="err")
    record = replace(record, data=data, lost=lost, environment=replace(record.environment, slurm=slurm))
    moved = portable(record)
    assert (moved.job.rule, moved.job.dataset, moved.job.model) == ("my.py:MyRule+anchor", "csv:iris", "nets.py:net")
    assert moved.job.id == record.id == moved.id and "/home" not in str(moved) and "/scratch" not in str(moved)
    assert moved.data == replace(data, name="csv:iris")
    (relative,) = {portable(changed(record, rule=rule)).job.rule for rule in ("my.py:MyRule", "../a b/my.py:MyRule")}
    assert relative == "my.py:MyRule"
    suite = 'rules = ["bp", "/home/me/my.py:MyRule+anchor", "~/b/other.py:B"]\nmodel = "/home/me/nets.py:net"\n'
    shown = 'rules = ["bp", "my.py:MyRule+anchor", "other.py:B"]\nmodel = "nets.py:net"\n'
    assert portable_suite(suite, [record.job]) == shown
