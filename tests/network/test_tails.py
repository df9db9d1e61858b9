"""Networks that end in something without weights: every rule trains them as it trains the network without the tail."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from benchmarks.zoo.entry import classes, values
from grape_bench import UserError
from grape_bench.network.reads import labels_of
from grape_bench.rules.names import RULES
from tests.network.every_rule import NOT_FOR_AN_MLP

NODES = 6
ADJACENCY = (torch.eye(NODES) + torch.eye(NODES).roll(1, 0)).div(2).to_sparse_coo()


class Body(nn.Module):
    """A multi-layer perceptron with `end` as its last step."""

    def __init__(self, end=None, outputs=5):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU())
        self.out = nn.Linear(10, outputs)
        self.end = end or (lambda scores: scores)

    def forward(self, x):
        return self.end(self.out(self.layers(x)))


def nll(output):
    return F.nll_loss(output, classes(NODES, 5))


def nll_of_probabilities(output):
    return nll(output.log())


def binary(output):
    return F.binary_cross_entropy(output, values(output))


def squares(output):
    return F.mse_loss(output, values(output))


def cross_entropy(output):
    return F.cross_entropy(output, classes(NODES, 5))


# What is done to the scores (N, outputs), the number of outputs, the loss after it.
TAILS = {
    "LogSoftmax": (nn.LogSoftmax(1), 5, nll),
    "log_softmax": (lambda y: F.log_softmax(y, 1), 5, nll),
    "Softmax": (nn.Softmax(1), 5, nll_of_probabilities),
    "softmax": (lambda y: y.softmax(1), 5, nll_of_probabilities),
    "Sigmoid": (nn.Sigmoid(), 5, binary),
    "sigmoid": (torch.sigmoid, 5, binary),
    "squeeze": (lambda y: y.squeeze(-1), 1, squares),
    "sigmoid and squeeze": (lambda y: torch.sigmoid(y).squeeze(1), 1, binary),
    "scaling": (lambda y: 3 * y, 5, cross_entropy),
    "sparse product": (lambda y: torch.sparse.mm(ADJACENCY, y), 5, cross_entropy),
    "dropout": (nn.Dropout(0.2), 5, cross_entropy),
    "two modules": (nn.Sequential(nn.Tanh(), nn.LogSoftmax(1)), 5, nll),
}
NOTHING = r"nothing to cut|no weights below|one layer"
OF_CLASSES = [rule for rule in RULES if getattr(RULES.get(rule), "targets", "any") == "classes"]


def attached(rule, end, outputs):
    torch.manual_seed(0)
    model, x = Body(deepcopy(end), outputs), torch.randn(NODES, 8)
    net = gb.attach(model, rule, x, seed=1)
    net.begin_epoch(batches=1)
    return model, net, x


def gradients(model, x, loss, net=None):
    torch.manual_seed(2)
    if net is None:
        loss(model(x)).backward()
    else:
        net.step(x, loss, labels_of(net, ((x,), {})))
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in NOT_FOR_AN_MLP])
@pytest.mark.parametrize("tail", TAILS)
def test_a_tail_without_weights_changes_no_gradient(tail, rule):
    """Against the network without the tail, whose loss takes the tail's place."""
    end, outputs, loss = TAILS[tail]
    if outputs == 1 and rule in OF_CLASSES:
        with pytest.raises(UserError, match="class"):
            attached(rule, end, outputs)
        return
    if rule == "grape-quarter" and tail == "sparse product":
        _, net, x = attached(rule, end, outputs)
        with pytest.raises(gb.DoesNotApplyError, match="a part of the batch cannot run alone"):
            gradients(net.model, x, loss, net)
        return
    if rule == "bp-sampled" and tail in ("squeeze", "sigmoid and squeeze"):
        pytest.skip("one output leaves nothing to sample")
    if rule in ("spsa", "pc") and tail == "dropout":
        pytest.skip("its forwards repeat the masks of the network, and here the loss draws its own")
    model, net, x = attached(rule, end, outputs)
    bare, plain, _ = attached(rule, None, outputs)
    found = gradients(model, x, loss, net)
    expected = gradients(bare, x, lambda scores: loss(end(scores)), plain)

    assert [block.shape for block in net.blocks] == [block.shape for block in plain.blocks]
    assert net.report() == plain.report()
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-7), name


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape", "fg", "head-only"])
def test_a_tail_may_flatten_positions_into_samples(rule):
    """As in PyTorch's word language model, which returns `log_softmax(decoded.view(-1, words), 1)`."""

    def flat(scores):
        return F.log_softmax(scores.reshape(-1, 5), 1)

    x, target = torch.randn(4, 3, 8), classes(12, 5)
    found = []
    for inside in (True, False):
        torch.manual_seed(0)
        model = Body(flat if inside else None)
        net = gb.attach(model, rule, x, seed=1)
        output = model(x)
        F.nll_loss(output if inside else flat(output), target).backward()
        found.append((net.output_shape, [p.grad for p in model.parameters()]))
    (shape, own), (plain, expected) = found
    assert shape == plain == (3, 5)
    for gradient, other in zip(own, expected, strict=True):
        assert gradient is other is None or torch.allclose(gradient, other, rtol=1e-4, atol=1e-7)


class Head(nn.Module):
    """A head that is one module, with its tail inside."""

    def __init__(self, end):
        super().__init__()
        self.fc, self.end = nn.Linear(10, 5), end

    def forward(self, x):
        return self.end(self.fc(x))


@pytest.mark.parametrize("tail", ["LogSoftmax", "log_softmax", "softmax", "sigmoid"])
def test_a_tail_inside_a_head_module_counts_like_one_outside(tail):
    end, _, loss = TAILS[tail]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(), Head(end))
    x = torch.randn(NODES, 8)
    net = gb.attach(model, "dfa", x, seed=1)
    found = gradients(model, x, loss)
    net.detach()
    plain = nn.Sequential(*model[:4], model[4].fc)
    gb.attach(plain, "dfa", x, seed=1)
    plain.zero_grad()
    expected = gradients(plain, x, lambda scores: loss(end(scores)))
    assert torch.allclose(found["0.weight"], expected["0.weight"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("scores", [lambda y: y.mean(1), lambda y: y[:, -1], lambda y: y.amax(1)])
def test_the_error_is_never_read_after_a_log_softmax(scores):
    """Nothing holds the scores at which the error could be read: the layer below returns them for every position."""
    model, x = Body(lambda y: F.log_softmax(scores(y), 1)), torch.randn(4, 3, 8)
    with pytest.raises(UserError, match="log of a softmax") as refused:
        gb.attach(model, "dfa", x)
    assert "cross_entropy" in str(refused.value.hint)
    net = gb.attach(Body(scores), "dfa", x)
    assert net.output_shape == (5,)
    for rule in ("bp", "fa"):  # they read no error at the output
        gb.attach(model, rule, x).detach()


@pytest.mark.parametrize("rule", ["dfa", "grape", "fg", "head-only"])
@pytest.mark.parametrize("tail", TAILS)
def test_the_last_weights_keep_the_true_gradient(tail, rule):
    end, outputs, loss = TAILS[tail]
    model, net, x = attached(rule, end, outputs)
    found, report = gradients(model, x, loss), net.report()
    model.zero_grad(set_to_none=True)
    net.detach()
    exact = gradients(model, x, loss)

    assert report["out.weight"] == report["out.bias"] == "exact"
    assert torch.allclose(found["out.weight"], exact["out.weight"], rtol=1e-5)
    assert "layers.0.weight" not in found or not torch.allclose(found["layers.0.weight"], exact["layers.0.weight"])


def test_dfa_sends_the_error_at_the_last_weights():
    """The error of log_softmax and the negative log-likelihood is softmax - one-hot, as in Nøkland (2016)."""
    model, net, x = attached("dfa", nn.LogSoftmax(1), 5)
    gradients(model, x, nll)
    error = (model(x).exp() - F.one_hot(classes(NODES, 5), 5)) / NODES
    feedback = net.blocks[-1].load("feedback")
    with torch.no_grad():
        hidden = model.layers[:2](x)
        signal = (error @ feedback) * (model.layers[2](hidden) > 0)
    assert torch.allclose(model.layers[2].weight.grad, signal.T @ hidden, atol=1e-6)


@pytest.mark.parametrize("rule", ["dfa", "grape", "head-only"])
def test_without_weights_below_a_cut_the_rule_is_refused(rule):
    with pytest.raises(UserError, match=NOTHING):
        gb.attach(nn.Sequential(nn.Linear(8, 5), nn.LogSoftmax(1)), rule, torch.randn(4, 8))
