"""Diagnostics measure what is there, and do not change the training."""

import random

import numpy as np
import pytest
import torch

from grape_bench.attachment import attach
from grape_bench.cost.memory import PeakMemory
from grape_bench.diagnose.gradient import Gradients
from grape_bench.diagnose.observer import MOST, Diagnostics, moments
from grape_bench.diagnose.reading import NotMeasuredError
from grape_bench.diagnose.weights import WeightAlignment
from grape_bench.job.description import network_of
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.network.passes import Pass
from grape_bench.record.table import HIDDEN
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.fa import FA
from grape_bench.streams import stream_seed
from tests.job.jobs import job

CNN = dict(model="cnn", model_args={"channels": [4, 4]}, batch_size=256)
VIT = dict(model="timm:test_vit", model_args={"proj_drop_rate": 0.2}, dataset_args={"resize": 16}, batch_size=640)


def train(spec, *observers):
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, spec.rule, spec.rule_settings)
    trainer.observers += observers
    torch.manual_seed(stream_seed(spec.seed, "dropout"))
    random.seed(0)
    np.random.seed(0)
    trainer.train()
    return trainer


def everything(trainer):
    network = trainer.network
    return {
        **trainer.network.model.state_dict(),
        **{f"stream {name}": generator.get_state() for name, generator in network.streams._generators.items()},
        **{f"state {i}.{key}": v for i, s in trainer.optimizer.state_dict()["state"].items() for key, v in s.items()},
        "torch": torch.get_rng_state(),
        "order": trainer.order.get_state(),
        "python": torch.tensor([random.random()]),
        "numpy": torch.tensor([np.random.rand()]),
        "counts": torch.tensor([network.counts.backward, network.counts.hidden]),
        "losses": torch.tensor([row["train_loss"] for row in trainer.rows]),
    }


@pytest.mark.parametrize(
    ("rule", "model"),
    [("bp", CNN), ("head-only", CNN), ("grape+anchor", CNN), ("fa", VIT), ("dfa", VIT), ("grape+anchor", VIT)],
)
def test_a_training_is_the_same_to_the_bit_with_and_without(rule, model):
    """`refresh = 2` stands in the middle of a period when the diagnostics look."""
    spec = job(rule, **model, epochs=1, rule_settings={"refresh": 2} if "grape" in rule else {})
    plain = everything(train(spec))
    diagnostics = Diagnostics(count=3, memory=PeakMemory(pick_device()))
    watched = everything(train(spec, diagnostics))
    assert not diagnostics.failed and diagnostics.result()["moments"] == 3
    assert plain.keys() == watched.keys()
    for name, value in plain.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(watched[name])), name


def test_what_is_found():
    spec = job("dfa", epochs=2)
    diagnostics = Diagnostics(count=3)
    trainer = train(spec, diagnostics)
    assert [row["step"] for row in diagnostics.rows] == [0] * 4 + [20] * 4 + [40] * 4
    blocks = [block.name for block in trainer.network.blocks]
    assert [row["block"] for row in diagnostics.rows[:4]] == [*blocks, "(hidden)", "(network)"]
    first, last = (next(r for r in diagnostics.rows if r["step"] == s and r["block"] == blocks[1]) for s in (0, 40))
    assert last["feedback_cos"] > first["feedback_cos"], "feedback alignment"
    assert last["probe_accuracy"] > 60 and "probe_accuracy" not in first
    found = diagnostics.result()
    assert found["growth"] < 10 and found["gain"] > 0.01 and 0 <= found["descent"] <= 1 and found["zoutendijk"] > 0


def test_backpropagation_is_found_to_be_itself():
    diagnostics = Diagnostics(count=1)
    train(job("bp", **VIT, epochs=1), diagnostics)
    found = diagnostics.result()
    assert found["signal_cos"] == pytest.approx(1) and found["gradient_cos"] == pytest.approx(1)
    assert found["descent"] == 1 and found["feedback_cos"] is None


def test_the_clock_stands_still(monkeypatch):
    spec = job("dfa", epochs=1)
    take = Diagnostics._values

    def slow(self, trainer):
        before = trainer.clock.seconds
        values = take(self, trainer)
        assert trainer.clock.seconds == before and trainer.clock._since is None
        return values

    monkeypatch.setattr(Diagnostics, "_values", slow)
    diagnostics = Diagnostics(count=2)
    train(spec, diagnostics)
    assert not diagnostics.failed and diagnostics.seconds > 0


def test_the_peak_is_the_trainings():
    memory = PeakMemory(pick_device())
    before = memory.measure()["peak_bytes"]
    with memory.aside():
        torch.ones(2**25).sum()  # 128 MiB
    assert memory.measure()["peak_bytes"] - before < 2**25


def test_a_failing_pass_ends_the_diagnostics_and_not_the_training(monkeypatch, capfd):
    def fail(self, trainer):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(Diagnostics, "_values", fail)
    diagnostics = Diagnostics(count=4)
    train(job("dfa"), diagnostics)
    reason = "probe: RuntimeError: no such operator"
    assert diagnostics.result() == {"moments": 0, "failed": reason, "rows": []}
    assert "Traceback" in capfd.readouterr().err


def test_a_failing_metric_costs_no_other_metric(monkeypatch):
    def fail(self):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(Gradients, "values", fail)
    diagnostics = Diagnostics(count=2)
    train(job("dfa"), diagnostics)
    found = diagnostics.result()
    assert found["failed"] == "Gradients: RuntimeError: no such operator" and found["moments"] == 2
    assert found["gradient_cos"] is None and found["zoutendijk"] is None
    assert None not in (found["growth"], found["signal_cos"], found["feedback_cos"], found["probe_accuracy"])


class OwnMatrix(DirectFeedback):
    """Draws its own B, and leaves the family's alone."""

    def setup(self, network):
        for block in network.blocks:
            block.store("mine", torch.randn(network.output_shape[-1], block.size))

    def signal(self, block, error):
        return (error @ block.load("mine")).reshape(block.output_shape)


class OwnMatrixBesides(OwnMatrix):
    """The same, but the family's B is drawn too. No signal reads it."""

    def setup(self, network):
        DirectFeedback.setup(self, network)
        super().setup(network)


class OwnProject(OwnMatrix):
    """Its B is where diagnostics look for it."""

    def project(self, error, block):
        return OwnMatrix.signal(self, block, error)

    def signal(self, block, error):
        return self.project(error, block)


@pytest.mark.parametrize(("rule", "described"), [(OwnMatrix, False), (OwnMatrixBesides, False), (OwnProject, True)])
def test_only_feedback_that_makes_the_signals_is_described(rule, described):
    spec = job(f"{__file__}:{rule.__name__}", epochs=1)
    diagnostics = Diagnostics(count=2)
    trainer = train(spec, diagnostics)
    found = diagnostics.result()
    assert network_of(trainer.network)["blocks"][0]["feedback"] is None
    assert found["signal_cos"] is not None and found["gradient_cos"] is not None
    assert (found["feedback_cos"] is not None) is described
    assert ("FeedbackAlignment: the signals of" in found["failed"]) is not described


def test_weights_that_a_rule_does_not_use_are_not_compared():
    class ReadsTheWeights(FA):
        def open_pass(self, network, batch):
            return Pass()

    network = attach(torch.nn.Sequential(torch.nn.Linear(4, 3)), ReadsTheWeights(), torch.randn(2, 4))
    with pytest.raises(NotMeasuredError, match="does not use its `matrix`"):
        WeightAlignment(network, network.rule).values()


def test_an_interrupted_training_goes_on_with_what_was_found():
    first = Diagnostics(count=3)
    train(job("dfa"), first)
    second = Diagnostics(count=3)
    second.load_state(first.state())
    assert second.rows == first.rows and second._sums[HIDDEN] == first._sums[HIDDEN]
    train(job("dfa"), second)
    assert second.rows == first.rows, "moments that were taken are not taken again"


def test_moments_are_few_where_steps_are_few():
    assert moments(20) == [0, 20] and len(moments(200)) == 4, "always the start and the end"
    assert len(moments(400)) == len(moments(4000)) == 8 and len(moments(6000)) == 12 and len(moments(10**6)) == MOST
    assert all(moments(steps)[0] == 0 and moments(steps)[-1] == steps for steps in (1, 30, 400, 10**6))
    assert moments(100, 5) == [0, 25, 50, 75, 100] and moments(100, 0) == [] and moments(3, 9) == [0, 1, 2, 3]
