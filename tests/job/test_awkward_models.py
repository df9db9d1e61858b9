"""Jobs whose models keep state, choose modes, leave out layers or are built late."""

import pytest
import torch

from grape_bench.job import run as training
from grape_bench.job.profile import profile
from grape_bench.job.setup import build_model, load_data, make_trainer
from grape_bench.network.modes import evaluation
from grape_bench.train.loop import Trainer
from tests.job.jobs import job

COUNTS = """\
import random
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, classes)
        self.noise, self.calls = np.random.default_rng(0), 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        gain = 1.0
        if self.training:
            self.calls, self.seen = self.calls + 1, self.seen + 1
            gain = 1 / self.calls + self.noise.random() + random.random() + np.random.rand() + 0.01 * self.seen
        return self.c(torch.tanh(gain * self.b(torch.tanh(gain * self.a(x.flatten(1))))))

def net(shape, classes):
    return Net(classes)
"""

FROZEN = """\
from torch import nn

def net(shape, classes):
    layers = [nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16), nn.BatchNorm1d(16)]
    model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(16, classes))
    model[2].eval().requires_grad_(False)
    return model
"""

LATE = """\
from torch import nn

def net(shape, classes):
    layers = [nn.Flatten(), nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.LazyLinear(classes))
"""


def small(folder, code, rule, **changes):
    (folder / "net.py").write_text(code)
    fixed = {"model": f"{folder / 'net.py'}:net", "model_args": {}, "dataset_args": {"limit": 200}, "profile": False}
    return job(rule, **{**fixed, **changes})


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape"])
def test_diagnostics_do_not_change_the_result_of_a_model_with_state(rule, tmp_path):
    found = [training.run(small(tmp_path, COUNTS, rule, probes=probes), lambda row: None) for probes in (0, 4)]
    assert found[1]["diagnostics"]["moments"] == 4 and not found[1]["diagnostics"]["failed"]
    assert found[0]["result"] == found[1]["result"]


@pytest.mark.parametrize("rule", ["bp", "dfa"])
def test_a_frozen_batch_norm_is_frozen_in_training_evaluation_and_profile(rule, tmp_path, monkeypatch):
    modes = set()
    original = Trainer.step

    def step(self, batch, target):
        modes.add(tuple(self.network.model[index].training for index in (0, 2, 5)))
        return original(self, batch, target)

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr("grape_bench.job.profile.BUDGET_S", 0.01)
    spec = small(tmp_path, FROZEN, rule)
    data = load_data(spec, torch.device("cpu"))
    trainer = make_trainer(spec, build_model(spec, data, torch.device("cpu")), data, rule, {})
    trainer.train()
    assert modes == {(True, False, True)}
    norm, trained = trainer.network.model[2], trainer.network.model[5]
    assert norm.running_mean.abs().max() == 0 and norm.num_batches_tracked == 0
    assert trained.num_batches_tracked == 2 * trainer.steps_per_epoch
    profile(spec, data)
    assert modes == {(True, False, True)}, "the profile steps in the modes of the training"


def test_a_check_leaves_the_modes_alone(tmp_path, monkeypatch):
    seen = []
    original = training.make_trainer

    def make(job, model, *rest):
        seen.append([model.training, model[2].training])
        return original(job, model, *rest)

    monkeypatch.setattr(training, "make_trainer", make)
    training.check(small(tmp_path, FROZEN, "dfa"))
    assert seen == [[True, False]]


def test_lazy_layers_are_the_same_for_every_rule(tmp_path):
    weights = []
    for rule in ("bp", "dfa", "grape"):
        spec = small(tmp_path, LATE, rule)
        data = load_data(spec, torch.device("cpu"))
        trainer = make_trainer(spec, build_model(spec, data, torch.device("cpu")), data, rule, {})
        weights.append([parameter.detach().clone() for parameter in trainer.network.model.parameters()])
        with evaluation(trainer.network.model):
            trainer.evaluate(data.validation)
    for other in weights[1:]:
        assert all(map(torch.equal, weights[0], other))
    assert training.run(small(tmp_path, LATE, "dfa"), lambda row: None)["status"] == "finished"
