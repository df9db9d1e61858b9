"""Two phases: what a rule may do after the error is known, and what stays as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from tests.network.problems import tanh_mlp

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4


def loss_of(output):
    return F.cross_entropy(output, Y)


class Backpropagation(gb.TwoPhase):
    """BP, the long way: the second phase repeats the forward with the model's own graph."""

    weight_transport = True

    def second_phase(self, network, first):
        loss_of(network.aside(gb.Pass(), first.batch)).backward()


class Doubled(gb.TwoPhase):
    """The signal at each block is twice its output, computed in the second phase."""

    def second_phase(self, network, first):
        self._twice = {key: 2 * output for key, output in first.outputs.items()}

    def signal(self, block):
        return self._twice[block.key]


def noisy_cnn() -> nn.Sequential:
    """BatchNorm and dropout, so that buffers and masks count."""
    torch.manual_seed(0)
    block = [[nn.Conv2d(c, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(0.3)] for c in (2, 5)]
    return nn.Sequential(nn.Sequential(*block[0]), nn.Sequential(*block[1]), nn.Flatten(), nn.Linear(80, 4))


IMAGES = torch.randn(12, 2, 4, 4, generator=torch.Generator().manual_seed(0))


def gradients(model, rule, seed=3):
    gb.attach(model, rule, IMAGES)
    torch.manual_seed(seed)
    loss_of(model(IMAGES)).backward()
    return {name: p.grad for name, p in model.named_parameters()}


def test_a_second_forward_has_the_masks_of_the_first_and_leaves_batch_norm_alone():
    """So the detour gives BP's gradients, and BatchNorm counts one batch."""
    own, bp = noisy_cnn().train(), noisy_cnn().train()
    found, expected = gradients(own, Backpropagation()), gradients(bp, "bp")
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)
    for name, buffer in bp.named_buffers():
        assert torch.equal(own.get_buffer(name), buffer), name


def test_the_training_goes_on_from_the_random_state_after_its_own_forward():
    states = []
    for rule in (Backpropagation(), "bp"):
        gradients(noisy_cnn().train(), rule)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_the_head_keeps_its_exact_gradient_and_earlier_gradients_stay():
    """Gradients accumulate over two backward passes, as under any rule."""
    model = tanh_mlp()
    gb.attach(model, Backpropagation(), X)
    loss_of(model(X)).backward()
    once = [p.grad.clone() for p in model.parameters()]
    loss_of(model(X)).backward()
    for parameter, first in zip(model.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * first)


def test_gradients_can_be_asked_for_without_touching_grad():
    model = tanh_mlp()
    gb.attach(model, Backpropagation(), X)
    found = torch.autograd.grad(loss_of(model(X)), list(model.parameters()))
    assert all(p.grad is None for p in model.parameters())
    model_bp = tanh_mlp()
    model_bp.load_state_dict(model.state_dict())
    expected = torch.autograd.grad(loss_of(model_bp(X)), list(model_bp.parameters()))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rule", [Backpropagation, Doubled])
def test_a_scaled_loss_scales_every_gradient(rule):
    """As under mixed precision. `loss_scale` tells the rule, whose second phase sees the loss as it is."""
    model = tanh_mlp()
    net = gb.attach(model, rule(), X)
    loss_of(model(X)).backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    net.loss_scale = 1024.0
    (1024 * loss_of(model(X))).backward()
    for parameter, gradient in zip(model.parameters(), plain, strict=True):
        torch.testing.assert_close(parameter.grad, 1024 * gradient)


def test_signals_go_through_each_blocks_own_graph():
    """One hidden layer h = tanh(W x) with the signal 2 h: dW = (2 h (1 - h^2))^T x."""
    model = tanh_mlp((6, 7, 4))
    gb.attach(model, Doubled(), X)
    loss_of(model(X)).backward()
    h = torch.tanh(model[0](X)).detach()
    torch.testing.assert_close(model[0].weight.grad, (2 * h * (1 - h**2)).T @ X)


def test_local_pass_gives_each_block_its_signal():
    class Same(gb.TwoPhase):
        def second_phase(self, network, first):
            network.aside(gb.LocalPass(lambda block: 2 * block.output), first.batch)

    found = []
    for rule in (Same(), Doubled()):
        torch.manual_seed(0)
        model = tanh_mlp()
        gb.attach(model, rule, X)
        loss_of(model(X)).backward()
        found.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*found)


def test_every_pass_is_counted():
    model = tanh_mlp()
    net = gb.attach(model, Backpropagation(), X)
    for _ in range(3):
        loss_of(model(X)).backward()
    counts = net.counts
    assert (counts.steps, counts.forward, counts.backward, counts.hidden) == (3, 6, 6, 6)
    assert net.bp_fraction == 1


class NeedsTheLoss(gb.TwoPhase):
    def second_phase(self, network, first):
        network.loss_of(network.aside(gb.Pass(), first.batch)).backward()


def test_a_step_gives_the_rule_the_loss():
    model = tanh_mlp()
    net = gb.attach(model, NeedsTheLoss(), X)
    loss = net.step(X, loss_of)
    assert loss.item() == pytest.approx(loss_of(model(X)).item()) and model[0].weight.grad is not None
    with pytest.raises(UserError, match="NeedsTheLoss needs the loss as a function") as caught:
        loss_of(model(X)).backward()
    assert "net.step(batch, loss_of, target)" in caught.value.hint


class ForwardForward(gb.TwoPhase):
    """Hinton 2022: the label is written into the input, rightly and wrongly, and each block tells the two apart."""

    def second_phase(self, network, first):
        (x,), kwargs = first.batch
        labels = network.target
        for given, sign in ((labels, 1), ((labels + 1) % 4, -1)):
            written = x.clone()
            written[:, :4] = F.one_hot(given, 4)
            goodness = gb.LocalPass(lambda block, sign=sign: self.push(block, sign))
            network.aside(goodness, ((written,), kwargs))

    def push(self, block, sign):
        excess = sign * (block.output.square().sum(1, keepdim=True) - 2)
        return -2 * sign * torch.sigmoid(-excess) * block.output / len(excess)


def test_a_rule_may_learn_from_the_labels_alone():
    torch.manual_seed(0)
    model = tanh_mlp((6, 16, 16, 4))
    net = gb.attach(model, ForwardForward(), X)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)

    def goodness(labels):
        written = X.clone()
        written[:, :4] = F.one_hot(labels, 4)
        return torch.tanh(model[0](written)).square().sum(1).mean().item()

    for _ in range(60):
        optimizer.zero_grad()
        net.step(X, loss_of, Y)
        optimizer.step()
    assert goodness(Y) > goodness((Y + 1) % 4) + 1
    with pytest.raises(UserError, match="needs the target of the batch"):
        net.step(X, loss_of)


def test_labels_are_there_before_the_forward():
    seen = []

    class Asks(gb.DirectFeedback):
        def open_pass(self, network, batch):
            seen.append(network.target)
            return super().open_pass(network, batch)

    gb.attach(tanh_mlp(), Asks(), X).step(X, loss_of, Y)
    assert len(seen) == 1 and seen[0] is Y


def test_lean_steps_are_refused():
    model = tanh_mlp()
    net = gb.attach(model, Doubled(), X)
    with pytest.raises(UserError, match="cannot train block by block"):
        gb.lean_step(net, ((X,), {}), loss_of, torch.optim.SGD(model.parameters(), lr=0.1))


def test_a_signal_sees_the_batch():
    """As feedback along a graph needs it."""

    class Neighbors(gb.DirectFeedback):
        def signal(self, block, error):
            (_, adjacency), _ = block.batch
            return self.project(adjacency @ error, block)

    class Convolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)])

        def forward(self, x, adjacency):
            for layer in self.layers[:-1]:
                x = torch.tanh(layer(adjacency @ x))
            return self.layers[-1](adjacency @ x)

    model, ring = Convolution(), torch.eye(12).roll(1, 0)
    gb.attach(model, Neighbors(), (X, ring))
    loss_of(model(X, ring)).backward()
    assert model.layers[0].weight.grad.any()
