"""If an optional measurement of a finished run fails, only this is lost, and the record has the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.record.record import parse_record
from grape_bench.record.write import dumps
from grape_bench.rules.direct import DirectFeedback
from tests.job.jobs import job
from tests.track.records import record


class CannotDescribe(DirectFeedback):
    """Its description fails, as one does that a user forgot to adapt."""

    def kept_feedback(self, network):
        return self._undefined

    def bp_fraction(self, batches, epochs):
        return "none"


RULE = f"{__file__}:CannotDescribe"


def test_a_description_that_fails_costs_only_itself(monkeypatch, capfd):
    def no_memory(*_):
        raise MemoryError("32 GiB")

    monkeypatch.setattr(training, "profile", no_memory)
    spec = job(RULE, epochs=1, probes=0, profile=True, features=None)
    measured = training.run(spec, on_epoch=lambda row: None)
    assert measured["status"] == "finished" and measured["result"]["test"] > 50
    assert measured["profile"] is None and measured["credit"] is None and measured["network"] is None
    assert measured["lost"] == {
        "profile": "MemoryError: 32 GiB",
        "credit": "ShapeError: declared_bp_fraction is not a number",
        "network": "AttributeError: 'CannotDescribe' object has no attribute '_undefined'",
    }
    assert capfd.readouterr().err.count("Traceback") >= 3


def test_a_record_keeps_the_reasons():
    plain = record()
    assert "lost" not in plain.to_dict() and parse_record(dumps(plain.to_dict())).lost is None
    assert parse_record(dumps(replace(plain, lost={"network": "no"}).to_dict())).lost == {"network": "no"}


def test_the_check_before_a_run_tries_the_description():
    with pytest.raises(UserError, match=r"description of its feedback fails with AttributeError.*\(test_extra.py:"):
        training.check(job(RULE))


class BreaksLater(DirectFeedback):
    """Its description needs what only a step can break."""

    def signal(self, block, error):
        self._count = {"x": 1}
        return self.project(error, block)

    def kept_feedback(self, network):
        return {} if not hasattr(self, "_count") else self._count


def test_the_rehearsal_finds_what_a_step_breaks():
    spec = job(f"{__file__}:BreaksLater")
    training.check(spec)
    with pytest.raises(UserError, match="description of its feedback fails"):
        training.rehearse(spec)


@pytest.mark.parametrize("rule", ["bp", "dfa", "dni"])
def test_the_rehearsal_accepts_frozen_lower_layers(rule, capfd):
    training.rehearse(job(rule, groups={"hidden.0": {"frozen": True}}))
    assert capfd.readouterr().err == ""


def test_the_rehearsal_leaves_a_failing_step_to_the_run(capfd):
    training.rehearse(job(f"{__file__}:Raises"))
    assert "no signal" in capfd.readouterr().err


class Raises(DirectFeedback):
    """Fails in its first step."""

    def signal(self, block, error):
        raise RuntimeError("no signal")
