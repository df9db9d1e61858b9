"""How many operations a refresh of GrAPE launches: on a GPU each one is a kernel, and small networks wait for them."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

import grape_bench as gb
from benchmarks.transformer import Transformer
from grape_bench import models
from grape_bench.rules import grape
from grape_bench.rules.grape import GrAPE
from tests.launches import Launches

IDS = torch.arange(48).view(6, 8) % 40
MODELS = {
    "transformer": (lambda: Transformer(4, width=16, vocabulary=40, tokens=8), IDS),
    "resnet20": (lambda: models.build("resnet20", shape=(3, 8, 8), classes=40, args={}), torch.randn(10, 3, 8, 8)),
}


def step_of(kind, rule, steps=1, samples=None):
    """Take `steps` steps, and return the model and how many operations the last one launched."""
    make, batch = MODELS[kind]
    batch = batch[:samples]
    torch.manual_seed(0)
    model = make().train()
    gb.attach(model, copy.deepcopy(rule), batch[:2])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, foreach=True)
    for _ in range(steps):
        with Launches() as launches:
            optimizer.zero_grad()
            scores = model(batch).flatten(0, -2)
            cross_entropy(scores, torch.arange(len(scores)) % 40).backward()
            optimizer.step()
    return model, launches.total


@pytest.mark.parametrize(("kind", "samples", "most"), [("transformer", 4, 350), ("resnet20", 9, 480)])
def test_a_refresh_adds_few_launches(kind, samples, most):
    """With one update per block and PyTorch's own derivatives, 483 and 850."""
    _, plain = step_of(kind, "dfa", samples=samples)
    _, refreshed = step_of(kind, GrAPE(refresh=1), samples=samples)
    assert refreshed - plain <= most


@pytest.mark.parametrize(
    "settings", [{}, {"normalize": "unit"}, {"cosine": "frobenius"}, {"update": "average"}], ids=str
)
@pytest.mark.parametrize("kind", MODELS)
def test_feedback_that_moves_in_stacks_ends_where_it_ends_alone(kind, settings, monkeypatch):
    """Also where some blocks have one sample more than others, as here."""
    stacked, _ = step_of(kind, GrAPE(**settings), steps=2)
    monkeypatch.setattr(grape, "STACKED", 0)
    alone, _ = step_of(kind, GrAPE(**settings), steps=2)
    pairs = zip(stacked.state_dict().values(), alone.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_processes_that_train_together_send_one_message_per_refresh(monkeypatch):
    sent = []
    monkeypatch.setattr(grape.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(grape.dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(grape.dist, "all_reduce", lambda tensor: sent.append(tensor.numel()))
    together, _ = step_of("resnet20", GrAPE(refresh=1))
    (numbers,) = sent
    kept = [tensor for name, tensor in together.state_dict().items() if name.endswith("feedback")]
    assert numbers == sum(tensor.numel() for tensor in kept)
    monkeypatch.setattr(grape.dist, "is_initialized", lambda: False)
    alone, _ = step_of("resnet20", GrAPE(refresh=1))
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
