"""docs/mlflow.md lists what MLflow gets, and its example rebuilds the table."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from grape_bench.record import parts
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.profile import Pipeline, Profile, Stage
from grape_bench.record.record import Record
from grape_bench.score.table import score
from grape_bench.track.mlflow import MlflowStore
from grape_bench.track.store import Sweep
from grape_bench.track.values import GROUPS, OVER_TRAINING, SINGLE, parameter_values, tag_values
from tests.score.records import changed
from tests.track.records import record

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")
RECORDED = ROOT / "results" / "quickstart" / "runs"


def documented(section: str) -> set[str]:
    """The names in the section: of its text, or of the first column of its tables."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return set(re.findall(r"`([\w.]+)`", " ".join(rows) or text))


def numbers(kind: Any, name: str) -> Iterator[str]:
    """The names of the metrics that a part of a record can have."""
    for field in dataclasses.fields(kind):
        hint = get_type_hints(kind)[field.name]
        arms = [arm for arm in get_args(hint) if arm is not type(None)] if type(None) in get_args(hint) else [hint]
        if arms[0] in (int, float):
            yield f"{name}.{field.name}"
        elif dataclasses.is_dataclass(arms[0]):
            yield from numbers(arms[0], f"{name}.{field.name}")
    if kind is Pipeline:
        yield from numbers(Stage, f"{name}.DEVICES")


def test_every_metric_is_documented() -> None:
    kinds = {name: Profile if name == "profile" else getattr(parts, name.title()) for name in GROUPS}
    known = {metric for name, kind in kinds.items() for metric in numbers(kind, name)}
    assert set(SINGLE) <= known, "every one is in a record"
    lines = {"validation_METRIC", "validation_loss", "train_loss", "seconds", "diagnostics.signal_cos.BLOCK"}
    lines |= {f"diagnostics.{name}.hidden" for name, row in OVER_TRAINING.items() if row == "(hidden)"}
    assert documented("Metrics") - {"grape.not_finite"} == set(SINGLE) | lines


def test_every_parameter_is_documented() -> None:
    tables = {"optimizer", "rule_settings", "model_args", "dataset_args", "objective_args", "schedule_args"}
    tables |= {"groups", "numerics"}
    plain = {field.name for field in dataclasses.fields(Job)} - tables
    names = documented("Parameters")
    assert {name for name in names if "." not in name} == plain
    prefixes = {name.partition(".")[0] for name in names if "." in name}
    assert prefixes == (tables - {"rule_settings"}) | {"rule"}
    assert {name.partition(".")[0] for name in parameter_values(record().job)} <= plain | prefixes


def test_every_tag_is_documented() -> None:
    written = tag_values(changed(record(reason="no room"), trial=0)).keys()
    others = {"grape.sweep", "grape.folder", "grape.not_finite", "grape.name.FITTED"}
    assert documented("Tags") == written | others


def test_the_example_rebuilds_the_table(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [each for each in read_records(RECORDED) if each.rule in ("bp", "dfa")]
    records: list[Record] = []
    for each in chosen:
        assert each.memory
        live = dataclasses.replace(each.memory, live_bytes=300 + each.seed, bp_live_bytes=400)
        records.append(dataclasses.replace(each, memory=live))
    diverged = dataclasses.replace(records[0], status="diverged", reason="nan", result=None)
    records[0] = dataclasses.replace(diverged, status=type(records[1].status)("diverged"))
    store = MlflowStore(uri, Sweep("quickstart", "1.0", "abc", tmp_path / "runs"))
    for each in records:
        store.add(each)
    store.close(complete=True)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found, table = names["table"], score(records)
    assert len(found) == len(table) == 4
    for row in table.to_dict("records"):
        rebuilt = found.loc[row["task"], row["rule"]]
        for column in ("n", "value", "step_ratio", "flops_ratio", "bp_fraction"):
            assert rebuilt[column] == pytest.approx(row[column]), (row["task"], row["rule"], column)
        assert row["rule"] == "bp" or rebuilt["live_ratio"] == pytest.approx(row["live_ratio"])
        assert rebuilt["seconds"] > 0 and rebuilt["peak_bytes"] > 0
