"""Tags and metrics of MLflow runs."""

from __future__ import annotations

from grape_bench.record.parts import Pipeline, Stage
from grape_bench.record.record import changed
from grape_bench.track.mlflow_values import metric_values, tag_values
from tests.track.records import record


def test_a_trial_has_its_number_and_a_failure_its_reason() -> None:
    plain = tag_values(record())
    assert "grape.trial" not in plain and "grape.reason" not in plain
    tags = tag_values(changed(record(reason="no room"), trial=0))
    assert (tags["grape.trial"], tags["grape.reason"]) == ("0", "no room")
    assert tags.keys() - plain.keys() == {"grape.trial", "grape.reason"}


def test_nested_numbers_have_dotted_names() -> None:
    four = Stage(speedup=3.0, bubble=0.01, bp_speedup=2.0, bp_bubble=0.2)
    profile = {"step_ratio": 1.1, "pipeline": Pipeline(micro_batches=8, devices={"4": four}), "energy": None}
    found = {value.name: value.value for value in metric_values(record(profile=profile))}
    assert found["profile.step_ratio"] == 1.1 and found["profile.pipeline.4.bubble"] == 0.01
    assert "profile.energy" not in found
