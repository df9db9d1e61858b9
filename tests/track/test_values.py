"""Tags and metrics of MLflow runs."""

from __future__ import annotations

from pathlib import Path

from grape_bench.record.profile import Flops, Pipeline, Stage
from grape_bench.track.values import SINGLE, curve_values, diagnostics_values, metric_values, tag_values
from tests.score.records import changed
from tests.track.records import on_disk, record


def test_a_trial_has_its_number_and_a_failure_its_reason() -> None:
    plain = tag_values(record())
    assert "grape.trial" not in plain and "grape.reason" not in plain
    tags = tag_values(changed(record(reason="no room"), trial=0))
    assert (tags["grape.trial"], tags["grape.reason"]) == ("0", "no room")
    assert tags.keys() - plain.keys() == {"grape.trial", "grape.reason"}


def test_a_run_has_few_single_numbers_and_few_lines(tmp_path: Path) -> None:
    """MLflow draws a chart for each. The records of quickstart made 102."""
    four = Stage(speedup=3.0, bubble=0.01, bp_speedup=2.0, bp_bubble=0.2)
    flops = Flops(forward=0.3, credit=0.4, tangents=0.1, critical=0.8, total=0.8, bp=1.0)
    profile = {"step_ratio": 1.1, "pipeline": Pipeline(micro_batches=8, devices={"4": four}), "flops": flops}
    found = {value.name: value.value for value in metric_values(record(profile=profile))}
    assert found["profile.step_ratio"] == 1.1 and found["profile.flops.total"] == 0.8
    assert found.keys() <= set(SINGLE) and len(SINGLE) < 20
    written = on_disk(tmp_path, record())
    names = {value.name for value in curve_values(tmp_path / written.name, written)}
    assert names == {"seconds", "train_loss", "validation_accuracy"}
    lines = {value.name for value in diagnostics_values(tmp_path / written.name, written)}
    assert lines == {"diagnostics.signal_cos.b.0", "diagnostics.descent.hidden"}
