"""What experiment runs are searched by."""

from __future__ import annotations

from grape_bench.track.values import tag_values
from tests.track.records import record


def test_a_trial_has_its_number_and_a_failure_its_reason() -> None:
    plain = tag_values(record())
    assert "grape.trial" not in plain and "grape.reason" not in plain
    trial = record(reason="no room")
    trial["job"]["trial"] = 0
    tags = tag_values(trial)
    assert (tags["grape.trial"], tags["grape.reason"]) == ("0", "no room")
    assert tags.keys() - plain.keys() == {"grape.trial", "grape.reason"}
