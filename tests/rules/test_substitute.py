"""The FA family wherever a weight meets an activation: B takes the place of W, and W's value is not read."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.errors import UserError
from tests.network.transport import Transported, moved_by

RULES = ["fa", "usf", "brsf", "frsf", "kp", "wm"]
PRODUCTS = {
    "@": lambda x, w: x @ w,
    "reversed @": lambda x, w: (w @ x.t()).t(),
    "x.mm": lambda x, w: x.mm(w),
    "x.matmul": lambda x, w: x.matmul(w.t()),
    "torch.mm by name": lambda x, w: torch.mm(input=x, mat2=w),
    "bmm of an expanded weight": lambda x, w: torch.bmm(x[:, None], w.expand(len(x), *w.shape))[:, 0],
    "bmm of a repeated weight": lambda x, w: torch.bmm(x[:, None], w.repeat(len(x), 1, 1))[:, 0],
    "baddbmm": lambda x, w: torch.baddbmm(torch.zeros(1, 1, 1), x[None], w[None], alpha=0.5)[0],
    "addmm": lambda x, w: torch.addmm(torch.ones(1), x, w, beta=0.5),
    "einsum": lambda x, w: torch.einsum("ni,io->no", x, w),
    "einsum that copies": lambda x, w: torch.einsum("nab,bca->nc", x.view(-1, 4, 2), w.view(2, 8, 4)),
    "einsum of three": lambda x, w: torch.einsum("ni,nj,ioj->no", x, x, w.view(8, 1, 8)).expand(-1, 8),
    "tensordot": lambda x, w: torch.tensordot(x, w, dims=1),
    "a contiguous copy": lambda x, w: x @ w.t().contiguous(),
    "F.linear": F.linear,
    "@ after vmap": lambda x, w: torch.vmap(torch.sin)(x) @ w,
}


class Middle(nn.Module):
    """Three layers; the middle weight meets its input in `product`."""

    def __init__(self, product):
        super().__init__()
        self.a, self.w, self.head = nn.Linear(6, 8), nn.Parameter(torch.randn(8, 8) / 3), nn.Linear(8, 3)
        self.product = product

    def forward(self, x):
        return self.head(torch.tanh(self.product(torch.tanh(self.a(x)), self.w)))


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 8), nn.Bilinear(8, 8, 7), nn.Linear(7, 3)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        return self.head(torch.tanh(self.b(h, h.flip(0))))


class Experts(nn.Module):
    """One of three weights for each sample, chosen by the sample."""

    def __init__(self):
        super().__init__()
        self.a, self.w, self.head = nn.Linear(6, 8), nn.Parameter(torch.randn(3, 8, 8) / 3), nn.Linear(8, 3)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        return self.head(torch.tanh(torch.bmm(self.w[x[:, :3].argmax(1)].transpose(1, 2), h[:, :, None])[..., 0]))


class Recurrent(nn.Module):
    def __init__(self, kind, **args):
        super().__init__()
        self.a = kind(6, 8, batch_first=True, **args)
        self.b = kind(8 * (2 if args.get("bidirectional") else 1), 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.b(self.a(x[:, None].repeat(1, 4, 1))[0])[0][:, -1])


class Loop(nn.Module):
    """Three steps of a cell."""

    def __init__(self, kind):
        super().__init__()
        self.cell = kind(8, 8)

    def forward(self, x):
        state = None
        for _ in range(3):
            state = self.cell(x, state)
        return state[0] if isinstance(state, tuple) else state


def unrolled(kind):
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), Loop(kind), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


MODELS = {
    **{name: (lambda product=product: Middle(product)) for name, product in PRODUCTS.items()},
    "nn.Bilinear": Bilinear,
    "experts": Experts,
    **{kind.__name__: (lambda kind=kind: Recurrent(kind)) for kind in (nn.LSTM, nn.GRU, nn.RNN)},
    "deep LSTM": lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True, bias=False),
    "relu RNN": lambda: Recurrent(nn.RNN, nonlinearity="relu", num_layers=2),
    **{kind.__name__: (lambda kind=kind: unrolled(kind)) for kind in (nn.LSTMCell, nn.GRUCell, nn.RNNCell)},
}
X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


def attached(name, rule, **settings):
    torch.manual_seed(0)
    return gb.attach(MODELS[name](), gb.make_rule(rule, **settings), X, seed=1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MODELS)
def test_no_gradient_reads_a_weight(name, rule):
    net = attached(name, rule)
    assert not moved_by(net.model, X)
    net.detach()
    assert moved_by(net.model, X), "backpropagation reads them"


@pytest.mark.parametrize("name", MODELS)
def test_feedback_that_equals_the_weights_is_backpropagation(name):
    net = attached(name, "fa")
    weights = {id(getattr(module, weight)) for module, weight in net.weights}
    assert weights >= {id(p) for n, p in net.model.named_parameters() if p.dim() > 1}
    for module, weight in net.weights:
        module.get_buffer(f"grape_bench_{weight}_feedback").copy_(getattr(module, weight).detach())
    (net.model(X) ** 2).sum().backward()
    own = [parameter.grad for parameter in net.model.parameters()]
    net.detach()
    net.model.zero_grad()
    (net.model(X) ** 2).sum().backward()
    for gradient, parameter in zip(own, net.model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["@", "einsum", "bmm of an expanded weight"])
def test_a_product_gets_the_gradients_of_the_formula(name):
    """delta1 = B (B3^T e * f') * f', with B in place of the middle weight and B3 in place of the head's."""
    net = attached(name, "fa")
    model = net.model
    B, B3 = model.get_buffer("grape_bench_w_feedback"), model.head.get_buffer("grape_bench_weight_feedback")
    (model(X) ** 2).sum().backward()
    with torch.no_grad():
        h = torch.tanh(X @ model.a.weight.t() + model.a.bias)
        g = torch.tanh(h @ model.w)
        e = 2 * (g @ model.head.weight.t() + model.head.bias)
        delta2 = e @ B3 * (1 - g**2)
        delta1 = delta2 @ B.t() * (1 - h**2)
    torch.testing.assert_close(model.head.weight.grad, e.t() @ g)
    torch.testing.assert_close(model.w.grad, h.t() @ delta2)
    torch.testing.assert_close(model.a.weight.grad, delta1.t() @ X)


def test_a_bilinear_layer_gets_the_gradients_of_the_formula():
    net = attached("nn.Bilinear", "fa")
    model = net.model
    B, B3 = (layer.get_buffer("grape_bench_weight_feedback") for layer in (model.b, model.head))
    (model(X) ** 2).sum().backward()
    with torch.no_grad():
        h = torch.tanh(model.a(X))
        one, two = h, h.flip(0)
        g = torch.tanh(torch.stack([(one * (two @ W.t())).sum(1) for W in model.b.weight], 1) + model.b.bias)
        e = 2 * model.head(g)
        delta = e @ B3 * (1 - g**2)
        below = sum(delta[:, [k]] * (two @ B[k].t()) + (delta[:, [k]] * (one @ B[k])).flip(0) for k in range(7))
        expected = (below * (1 - h**2)).t() @ X
    torch.testing.assert_close(model.b.weight.grad, torch.einsum("nk,ni,nj->kij", delta, one, two))
    torch.testing.assert_close(model.a.weight.grad, expected)


def test_a_recurrent_layer_gets_the_gradients_of_the_formula():
    """Backpropagation through time with B in place of the recurrent weights and of the weights between the layers."""
    net = attached("RNN", "fa")
    a, b, head = net.model.a, net.model.b, net.model.head
    B = {layer: {n: layer._buffers[f"grape_bench_{n}_feedback"] for n in ("weight_ih_l0", "weight_hh_l0")}
         for layer in (a, b)}  # fmt: skip
    (net.model(X) ** 2).sum().backward()
    with torch.no_grad():
        steps = [X] * 4
        one, two = a(torch.stack(steps, 1))[0].unbind(1), None
        two = b(torch.stack(one, 1))[0].unbind(1)
        delta2 = 2 * head(two[-1]) @ head.get_buffer("grape_bench_weight_feedback") * (1 - two[-1] ** 2)
        delta1 = torch.zeros(5, 8)
        expected = torch.zeros_like(a.weight_ih_l0)
        for t in reversed(range(4)):
            delta1 = (delta2 @ B[b]["weight_ih_l0"] + delta1 @ B[a]["weight_hh_l0"]) * (1 - one[t] ** 2)
            expected += delta1.t() @ steps[t]
            if t:
                delta2 = delta2 @ B[b]["weight_hh_l0"] * (1 - two[t - 1] ** 2)
    torch.testing.assert_close(a.weight_ih_l0.grad, expected, rtol=1e-4, atol=1e-5)


def test_the_product_of_two_activations_stays_exact():
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 8)

        def forward(self, x):
            h = self.a(x)
            return torch.tanh(h @ h.t()) @ h

    model = Scores()
    (model(X) ** 2).sum().backward()
    exact = model.a.weight.grad.clone()
    model.zero_grad()
    net = gb.attach(nn.Sequential(model, nn.Tanh(), nn.Linear(8, 8), nn.Identity()), "fa", X)
    h = net.model[0](X)
    (h**2).sum().backward()
    torch.testing.assert_close(model.a.weight.grad, exact)


def test_wm_finds_the_weights_of_products_and_recurrent_layers():
    for name in ("einsum that copies", "bmm of a repeated weight", "nn.Bilinear", "GRU"):
        torch.manual_seed(0)
        x = X.repeat(20, 1)
        net = gb.attach(MODELS[name](), gb.make_rule("wm", rate=0.02), x)
        for _ in range(150):
            net.model(x)
        for module, weight in net.weights:
            B = module.get_buffer(f"grape_bench_{weight}_feedback")
            assert F.cosine_similarity(B.flatten(), getattr(module, weight).flatten(), 0) > 0.95, (name, weight)


NOT_COVERED = {
    "gains": lambda x, w: (x[:, None] * w).amax(2),  # no linear map of the family
    "vmap": lambda x, w: torch.vmap(lambda one: one @ w)(x),
    "a layer with and without vmap": lambda x, w: F.linear(
        torch.vmap(lambda one: F.linear(one, w, w[0]))(x[None])[0], w
    ),
    "vmap over the weight": lambda x, w: torch.vmap(lambda row: x @ row, out_dims=1)(w),
    "gains after vmap": lambda x, w: (torch.vmap(torch.sin)(x)[:, None] * w).amax(2),
}


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.lstm, self.head = nn.Linear(6, 8), nn.LSTM(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        lengths = torch.full((len(x),), 2)
        packed = nn.utils.rnn.pack_padded_sequence(self.a(x).repeat(2, 1, 1), lengths)
        return self.head(self.lstm(packed)[1][0][-1])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *(
            pytest.param(lambda product=product: Middle(product), "w ", id=name)
            for name, product in NOT_COVERED.items()
        ),
        pytest.param(Packed, "lstm.weight_hh_l0", id="packed"),
    ],
)
def test_a_weight_that_is_not_covered_is_refused_by_name(make, name):
    with pytest.raises(UserError, match="would read the true weights") as refused:
        gb.attach(make(), "fa", X, blocks=["a"])
    assert name in str(refused.value) and "allow_transport" in str(refused.value)
    net = gb.attach(make(), gb.make_rule("kp", allow_transport=True), X, blocks=["a"])
    assert name.strip() in moved_by(net.model, X)


def test_kp_follows_sgd_with_momentum_and_decay():
    """Two optimizers of one kind, for W and for B, which get the same gradients."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, lr, decay, momentum = X.double(), 0.05, 0.4, 0.9
    gb.attach(model, gb.make_rule("kp", decay=lr * decay, momentum=momentum), x)
    twin = nn.Parameter(model[2].get_buffer("grape_bench_weight_feedback")[0].clone())
    settings = dict(lr=lr, weight_decay=decay, momentum=momentum)
    optimizer, other = torch.optim.SGD(model.parameters(), **settings), torch.optim.SGD([twin], **settings)
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(model(x), torch.arange(5) % 3).backward()
        twin.grad = model[2].weight.grad.clone()
        optimizer.step()
        other.step()
    model(x)
    torch.testing.assert_close(model[2].get_buffer("grape_bench_weight_feedback")[0], twin.data, rtol=1e-6, atol=1e-9)


class InPlace(nn.Module):
    """Changes the outputs of its layers in place, as swinv2 of timm does."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.a(x)
        h += 1
        h = self.b(torch.tanh(h))
        h *= 2
        return self.head(torch.tanh(h))


@pytest.mark.parametrize("shape", [(4, 6), (4, 5, 6), (2, 2, 5, 6)])
def test_a_model_may_change_the_output_of_a_layer_in_place(shape):
    torch.manual_seed(0)
    model, x = InPlace(), torch.randn(shape)
    model(x).square().sum().backward()
    exact = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    gb.attach(model, Transported(), x, axis=-1)
    model(x).square().sum().backward()
    for parameter, expected in zip(model.parameters(), exact, strict=True):
        assert torch.allclose(parameter.grad, expected, rtol=1e-5, atol=1e-7)
