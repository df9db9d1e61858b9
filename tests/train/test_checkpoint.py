"""Checkpoints: a training that is killed anywhere and resumed is the one that nobody disturbed."""

import os
import random

import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.checkpoint_files import CheckpointFolder, Period
from grape_bench.train.loop import Observer, Trainer
from tests.job.jobs import job

ALWAYS = Period(seconds=0)

NET = """\
from torch import nn

def net(shape, classes):  # BatchNorm and dropout
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2)]
    more = [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(nn.Sequential(*layers), nn.Sequential(*more), nn.Flatten(), nn.Linear(4 * 64, classes))
"""


class Killed(BaseException):
    """Stands for the end of the process: nothing in the training handles it."""


class KillAfter(Observer):
    def __init__(self, step: int) -> None:
        self.step = step

    def step_done(self, trainer: Trainer) -> None:
        if trainer.total_steps == self.step:
            raise Killed


def run(spec, monkeypatch, checkpoints=None, kill_after=0):
    """What a process of its own would find, and the weights at its end."""
    trainers = []
    original = Trainer.train

    def train(self):
        trainers.append(self)
        self.observers.append(KillAfter(kill_after))
        original(self)

    monkeypatch.setattr("grape_bench.train.checkpoint.MOST_SHARE", float("inf"))  # however long writing takes
    monkeypatch.setattr(Trainer, "train", train)
    rows = []
    torch.manual_seed(os.getpid())  # another process's random state
    random.seed()
    try:
        found = training.run(spec, rows.append, checkpoints)
    except Killed:
        return None, None
    finally:
        monkeypatch.setattr(Trainer, "train", original)
    return found, trainers[0].network.state_dict() | {"rows": rows}


def without_times(found):
    rows = ({key: value for key, value in row.items() if key != "seconds"} for row in found.pop("rows", []))
    return {key: value for key, value in found.items() if key not in ("time", "memory")} | {"rows": list(rows)}


@pytest.mark.parametrize(
    "rule",
    ["grape+anchor", "dfa+finish", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("bp", "fa", "dfa"))],
)
def test_killed_at_any_step_it_ends_with_the_same_weights_and_record(rule, tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(NET)
    spec = job(
        rule,
        rule_settings={"refresh": 3} if rule.startswith("grape") else {},
        model=f"{tmp_path / 'net.py'}:net",
        model_args={},
        dataset_args={"augment": "flip-crop", "limit": 400},
        batch_size=32,
        schedule="cosine",
        epochs=3,
        features=None,
    )
    expected, weights = run(spec, monkeypatch)
    place = CheckpointFolder(tmp_path, "stamp")
    total = 3 * 12
    kills = sorted(random.Random(rule).sample(range(1, total), 4))
    for number, step in enumerate(kills):
        every = (Period(epochs=1), ALWAYS)[number % 2]
        assert run(spec, monkeypatch, Checkpoints(place, every), step) == (None, None), kills
    found, resumed = run(spec, monkeypatch, Checkpoints(place, ALWAYS))
    assert found["time"]["resumed"] >= 2 and expected["time"]["resumed"] == 0, kills
    assert found["time"]["steps"] == total and found["credit"]["backward_passes"] == total
    for name, value in weights["model"].items():
        assert torch.equal(value, resumed["model"][name]), (name, kills)
    assert without_times(resumed | {"model": 0, "streams": 0}) == without_times(weights | {"model": 0, "streams": 0})
    assert without_times(found) == without_times(expected)


@pytest.mark.parametrize(
    ("rule", "precision"), [("bp", "fp16"), pytest.param("grape+anchor", "fp32", marks=pytest.mark.slow)]
)
def test_killed_at_any_step_it_resumes_to_the_bit_with_every_option(rule, precision, tmp_path, monkeypatch):
    """The kills lie within an accumulated epoch, between a step and its evaluation, and at the end of the budget."""
    (tmp_path / "net.py").write_text(NET)
    spec = job(
        rule,
        model=f"{tmp_path / 'net.py'}:net",
        model_args={},
        dataset_args={"augment": "flip-crop", "limit": 400},
        batch_size=32,
        epochs=None,
        steps=20,
        accumulate=2,
        evaluate_every=4,
        optimizer={"name": "timm:muon", "lr": 0.05, "weight_decay": 0.1},
        schedule="linear",
        warmup=3,
        clip=0.5,
        decay="weights",
        groups={"0": {"lr_scale": 0.5}},
        ema=0.8,
        select="best",
        precision=precision,
        features=None,
    )
    expected, weights = run(spec, monkeypatch)
    place = CheckpointFolder(tmp_path, "stamp")
    for step in (4, 7, 12, 15, 20):
        assert run(spec, monkeypatch, Checkpoints(place, ALWAYS), step) == (None, None)
    found, resumed = run(spec, monkeypatch, Checkpoints(place, ALWAYS))
    assert found["time"]["resumed"] >= 1 and found["time"]["steps"] == 20
    assert [row["step"] for row in resumed["rows"]] == [4, 8, 12, 16, 20]
    for name, value in weights["model"].items():
        assert torch.equal(value, resumed["model"][name]), name
    assert without_times(resumed | {"model": 0, "streams": 0}) == without_times(weights | {"model": 0, "streams": 0})
    assert without_times(found) == without_times(expected)


STATE = """\
import itertools
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, iterates):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, classes)
        self.steps, self.noise, self.generator = 0, np.random.default_rng(0), torch.Generator().manual_seed(0)
        self.register_buffer("memory", None)
        if iterates:
            self.counter = itertools.count()

    def forward(self, x):
        gain = 1.0
        if self.training:
            self.steps += 1
            gain = 1 / self.steps + self.noise.random() + torch.rand((), generator=self.generator)
        x = torch.tanh(gain * self.b(torch.tanh(self.a(x.flatten(1)))))
        self.memory = x.mean(0).detach() if self.memory is None else 0.9 * self.memory + 0.1 * x.mean(0).detach()
        return self.c(x + self.memory)

def net(shape, classes, iterates=False):
    return Net(classes, iterates)
"""


@pytest.mark.parametrize("rule", ["bp", "grape"])
def test_a_model_with_counters_and_generators_of_its_own_resumes_to_the_bit(rule, tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(STATE)
    spec = job(rule, model=f"{tmp_path / 'net.py'}:net", model_args={}, dataset_args={"limit": 200}, profile=False)
    expected, weights = run(spec, monkeypatch)
    place = CheckpointFolder(tmp_path, "stamp")
    assert run(spec, monkeypatch, Checkpoints(place, ALWAYS), 5) == (None, None)
    found, resumed = run(spec, monkeypatch, Checkpoints(place, ALWAYS))
    assert found["time"]["resumed"] == 1
    assert all(torch.equal(value, resumed["model"][name]) for name, value in weights["model"].items())
    assert found["result"] == expected["result"]


def test_a_model_that_keeps_what_cannot_be_saved_starts_from_scratch(tmp_path, capsys):
    (tmp_path / "net.py").write_text(STATE)
    changes = {"model_args": {"iterates": True}, "dataset_args": {"limit": 200}, "profile": False, "probes": 0}
    spec = job("dfa", model=f"{tmp_path / 'net.py'}:net", **changes)
    place = CheckpointFolder(tmp_path, "stamp")
    training.run(spec, lambda row: None, Checkpoints(place, ALWAYS))
    assert not place.files()
    said = capsys.readouterr().err
    assert said.count("no checkpoint, so a killed job starts from scratch: counter (count) cannot be saved") == 1


def fill(place: CheckpointFolder, *steps: int) -> None:
    for step in steps:
        place.write({"step": step}, step)


def test_two_checkpoints_are_kept_and_the_newest_that_can_be_read_is_used(tmp_path, capsys):
    place = CheckpointFolder(tmp_path, "mine")
    assert place.read() is None
    fill(place, 5, 10, 200)
    assert [path.name for path in place.files()] == ["checkpoint-000000200.pt", "checkpoint-000000010.pt"]
    assert place.read() == {"step": 200}
    place.files()[0].write_bytes(place.files()[0].read_bytes()[:100])
    assert place.read() == {"step": 10}
    assert "cannot read checkpoint-000000200.pt" in capsys.readouterr().err


def test_a_checkpoint_of_other_software_is_not_used(tmp_path, capsys):
    fill(CheckpointFolder(tmp_path, "torch 1"), 5)
    assert CheckpointFolder(tmp_path, "torch 2").read() is None
    assert "it was written by other software or on other hardware" in capsys.readouterr().err


def test_nothing_is_left_of_them_nor_of_a_draft_of_a_killed_process(tmp_path):
    place = CheckpointFolder(tmp_path)
    fill(place, 5, 6)
    (tmp_path / ".123.checkpoint-000000007.pt").touch()
    (tmp_path / "record.json").touch()
    place.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("grape_bench.record.write.os.fsync", full)
    checkpoints = Checkpoints(CheckpointFolder(tmp_path), Period(epochs=1))
    assert training.run(job(), lambda row: None, checkpoints)["status"] == "finished"
    assert (
        capsys.readouterr().err.splitlines() == ["could not write a checkpoint: [Errno 28] No space left on device"] * 2
    )
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_costs_much_is_written_more_rarely(tmp_path, monkeypatch):
    """Time as told: a step takes 1 s, a checkpoint 3 s; at most 10 % of the time is for them."""
    now, written = [0.0], []
    monkeypatch.setattr("grape_bench.train.checkpoint.time.perf_counter", lambda: now[0])

    def write(self, state, step):
        written.append(step)
        now[0] += 3

    class Step(Observer):
        def step_done(self, trainer):
            now[0] += 1

    original = Trainer.train

    def train(self):
        self.observers.insert(0, Step())
        original(self)

    monkeypatch.setattr(CheckpointFolder, "write", write)
    monkeypatch.setattr(Trainer, "train", train)
    monkeypatch.setattr("grape_bench.train.checkpoint.MOST_SHARE", 0.1)
    checkpoints = Checkpoints(CheckpointFolder(tmp_path), Period(seconds=10))
    found = training.run(job(epochs=4), lambda row: None, checkpoints)
    assert found["time"]["steps"] == 80
    assert written == [10, 37, 64], "the first after 10 s, then every 30 s, of which 3 are its own"
    assert found["time"]["checkpoint_s"] == 9


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("60s", Period(seconds=60)),
        ("1.5 min", Period(seconds=90)),
        ("2h", Period(seconds=7200)),
        ("1epoch", Period(epochs=1)),
        ("10 epochs", Period(epochs=10)),
        ("never", Period()),
    ],
)
def test_periods(text, period):
    assert Period.parse(text) == period == Period.parse(str(period))


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "0epochs", "1.5epochs", "-1s"])
def test_what_is_no_period_is_told(text):
    with pytest.raises(UserError, match="--checkpoint-every: "):
        Period.parse(text, where="--checkpoint-every")
