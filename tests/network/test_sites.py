"""Where a block is cut: after its nonlinearity, below the last weights, and at every call of a module."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.find import find_blocks
from grape_bench.network.passes import Pass
from grape_bench.network.trace import as_batch, trace

STEPS = 3


class Net(nn.Module):
    """Named modules, and a function of (self, x) as the forward."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.run(self, x)


def blocks_of(model, example, **options):
    return find_blocks(model, trace(model, as_batch(example)), **options)


def cuts_of(model, example, **options):
    return [(block.name, block.where) for block in blocks_of(model, example, **options)]


def layers(*sizes):
    return {name: nn.Linear(a, b) for name, a, b in zip("abcd", sizes, sizes[1:], strict=False)}


def after_each(function):
    return Net(lambda net, x: net.c(function(net.b(function(net.a(x))))), **layers(6, 8, 8, 3))


def gradients(model, rule, example):
    gb.attach(model, rule, example, seed=1)
    model(example).square().sum().backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("rule", ["dfa", "grape", "fg", "local", "fa", "head-only"])
@pytest.mark.parametrize(("function", "module"), [(F.relu, nn.ReLU), (torch.tanh, nn.Tanh), (F.gelu, nn.GELU)])
def test_a_nonlinearity_as_a_function_gives_the_gradients_of_the_module(rule, function, module):
    x = torch.randn(4, 6)
    as_function, as_module = after_each(function), after_each(module())
    as_module.load_state_dict(as_function.state_dict())
    found, expected = gradients(as_function, rule, x), gradients(as_module, rule, x)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (gradient is None and found[name] is None) or torch.equal(found[name], gradient), name
    assert cuts_of(after_each(function), x) == [("a", "at the input of b"), ("b", "at the input of c")]


def test_pooling_reshaping_and_dropout_as_functions_belong_to_the_block():
    def forward(net, x):
        x = F.max_pool2d(F.relu(net.a(x)), 2)
        return net.c(F.dropout(F.relu(net.b(x)).flatten(1), 0.5, net.training))

    model = Net(forward, a=nn.Conv2d(1, 4, 3), b=nn.Conv2d(4, 4, 3), c=nn.Linear(64, 3))
    blocks = blocks_of(model, torch.randn(2, 1, 14, 14))
    assert [(block.name, block.shape) for block in blocks] == [("a", (4, 6, 6)), ("b", (64,))]


def stack(block, after=lambda x: x, norm=None):
    def forward(net, x):
        for layer in net.layers:
            x = after(layer(x))
        return net.head(net.norm(x))

    return Net(
        forward, layers=nn.ModuleList(block() for _ in range(3)), head=nn.Linear(6, 2), norm=norm or nn.Identity()
    )


def test_a_container_before_a_nonlinearity_is_cut_after_it():
    model = stack(lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), after=F.relu)
    assert cuts_of(model, torch.randn(4, 6))[0] == ("layers.0", "at the input of layers.1")
    assert cuts_of(model, torch.randn(4, 6))[2] == ("layers.2", "at the input of head")


class Residual(nn.Module):
    """x + f(x), as in a transformer."""

    def __init__(self):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, x):
        return x + torch.tanh(self.inner(self.norm(x)))


def test_a_block_before_a_norm_is_cut_at_its_own_output():
    model = stack(Residual, norm=nn.LayerNorm(6))
    assert cuts_of(model, torch.randn(4, 6))[2] == ("layers.2", "after layers.2")


def test_a_gate_that_reads_two_layers_stays_in_the_block_above():
    def forward(net, x):
        x = net.stem(x)
        return net.head(torch.tanh(net.down(F.silu(net.gate(x)) * net.up(x))))

    names = {"gate": nn.Linear(8, 8), "up": nn.Linear(8, 8), "down": nn.Linear(8, 8)}
    model = Net(forward, stem=nn.Linear(6, 8), **names, head=nn.Linear(8, 3))
    assert cuts_of(model, torch.randn(4, 6)) == [("stem", "after stem"), ("down", "at the input of head")]


def test_an_activation_with_several_readers_is_cut_once():
    def forward(net, x):
        x = F.relu(net.a(x))
        return net.d(torch.tanh(net.b(x) + net.c(x)))

    model, x = (
        Net(forward, a=nn.Linear(6, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 8), d=nn.Linear(8, 3)),
        torch.randn(4, 6),
    )
    assert cuts_of(model, x) == [("a", "at the input of b, c"), ("c", "at the input of d")]
    net, asked = gb.attach(model, "dfa", x), []
    signal = net.rule.signal
    net.rule.signal = lambda block, error: asked.append(block.name) or signal(block, error)
    model(x).square().sum().backward()
    assert asked == ["c", "a"] and net.bp_fraction == 0


def test_a_residual_stack_of_bare_layers_is_refused():
    def forward(net, x):
        for layer in net.layers:
            x = x + torch.tanh(layer(x))
        return net.head(x)

    model = Net(forward, layers=nn.ModuleList(nn.Linear(6, 6) for _ in range(3)), head=nn.Linear(6, 2))
    with pytest.raises(UserError, match="through a skip connection"):
        gb.attach(model, "dfa", torch.randn(4, 6))


class Recurrent(nn.Module):
    """Two layers of GRU cells, called in a loop. `each` gives an output per step."""

    def __init__(self, each=False, backward=False):
        super().__init__()
        self.one, self.two, self.head, self.each = nn.GRUCell(6, 8), nn.GRUCell(8, 7), nn.Linear(7, 3), each
        self.backward = backward

    def forward(self, x):
        h, g, outputs = x.new_zeros(len(x), 8), x.new_zeros(len(x), 7), []
        for t in reversed(range(x.shape[1])) if self.backward else range(x.shape[1]):
            h = self.one(x[:, t], h)
            g = self.two(h, g)
            outputs.append(self.head(g))
        outputs = outputs[::-1] if self.backward else outputs
        return torch.stack(outputs, 1) if self.each else outputs[-1]


class LSTM(nn.Module):
    """One layer of LSTM cells, called in a loop."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTMCell(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = c = x.new_zeros(len(x), 8)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        return self.head(h)


SEQUENCES = torch.randn(4, STEPS, 6, generator=torch.Generator().manual_seed(0))
H_AND_C = ["cell[0]", "cell[0][1]", "cell[1]", "cell[1][1]", "cell[2]"]


def named(model, cuts):
    return [block.name for block in blocks_of(model, SEQUENCES, cuts=cuts)]


def test_cuts_through_depth_make_a_block_of_all_calls():
    last, each = (blocks_of(Recurrent(each), SEQUENCES) for each in (False, True))
    assert [(b.name, b.calls, b.timed) for b in last] == [("one", STEPS, False), ("two", 1, False)]
    assert [(b.name, b.calls, b.timed) for b in each] == [("one", STEPS, True), ("two", STEPS, True)]
    assert [b.where for b in last] == ["at the input of two", "at the input of head"]
    assert named(LSTM(), "depth") == ["cell"]


def test_a_loop_that_runs_backward_in_time_gives_every_call_the_whole_error():
    model = Recurrent(each=True, backward=True)
    assert [(b.calls, b.timed) for b in blocks_of(model, SEQUENCES)] == [(STEPS, False)] * 2
    net, shapes = gb.attach(model, "dfa", SEQUENCES), set()
    signal = net.rule.signal
    net.rule.signal = lambda block, error: shapes.add(error.shape) or signal(block, error)
    model(SEQUENCES).square().sum().backward()
    assert shapes == {(4, STEPS, 3)} and model.one.weight_ih.grad.any()


def test_cuts_through_time_make_a_block_of_each_call():
    assert set(named(Recurrent(), "time")) == {"one[0]", "one[1]", "two[0]", "two[1]", "two[2]"}
    assert named(LSTM(), "time") == H_AND_C, "h and c are separate"


def test_cuts_through_both_also_cut_what_the_last_call_hands_on():
    assert set(named(Recurrent(), "both")) == {f"{layer}[{t}]" for layer in ("one", "two") for t in range(STEPS)}
    assert named(LSTM(), "both") == H_AND_C


@pytest.mark.parametrize("cuts", ["depth", "time", "both"])
@pytest.mark.parametrize("model", [Recurrent, lambda: Recurrent(each=True), LSTM], ids=["last", "each", "lstm"])
def test_bp_through_the_cuts_is_bp(model, cuts):
    """A rule that sends BP's own gradient at each cut gives BP's gradients."""

    class Keep(Pass):
        def cut(self, block, output):
            kept.append((block, output.view_as(output)))
            return kept[-1][1]

    class Keeping(gb.LearningRule):
        def open_pass(self, network, batch):
            return Keep()

    class Sent(gb.DirectFeedback):
        def signal(self, block, error):
            return signals[block.name, block.call]

    model, kept = model(), []
    model(SEQUENCES).square().sum().backward()
    exact = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    net = gb.attach(model, Keeping(), SEQUENCES, cuts=cuts)
    true = torch.autograd.grad(model(SEQUENCES).square().sum(), [output for _, output in kept])
    signals = {(block.name, block.call): signal for (block, _), signal in zip(kept, true, strict=True)}
    assert len(signals) == sum(block.calls for block in net.blocks)
    net.detach()
    net = gb.attach(model, Sent(), SEQUENCES, cuts=cuts)
    model(SEQUENCES).square().sum().backward()
    assert net.bp_fraction == 0
    for name, gradient in exact.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient)


def test_unknown_cuts_are_refused():
    with pytest.raises(UserError, match="'width' is not one of depth, time, both"):
        gb.attach(Recurrent(), "dfa", SEQUENCES, cuts="width")


def test_a_shortcut_around_the_layers_is_cut_at_the_embedding():
    def forward(net, ids):
        made = net.table(ids)
        pairs = (made.sum(1) ** 2 - (made**2).sum(1)).sum(1, keepdim=True)
        return net.out(net.deep(made.flatten(1))) + pairs

    deep = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
    model, ids = Net(forward, table=nn.Embedding(20, 4), deep=deep, out=nn.Linear(8, 1)), torch.randint(20, (4, 3))
    assert cuts_of(model, ids) == [
        ("table", "after table"),
        ("deep.0", "at the input of deep.2"),
        ("deep", "at the input of out"),
    ]


def test_a_variational_autoencoder_keeps_the_gradient_of_its_latent_outputs():
    def forward(net, x):
        hidden = F.relu(net.encode(x))
        mean, spread = net.mean(hidden), net.spread(hidden)
        return net.out(F.relu(net.decode(mean + spread))), mean, spread

    sizes = {"encode": (6, 8), "mean": (8, 2), "spread": (8, 2), "decode": (2, 8), "out": (8, 6)}
    model = Net(forward, **{name: nn.Linear(*size) for name, size in sizes.items()})
    x = torch.randn(4, 6)
    net = gb.attach(model, "dfa", x)
    readers = ("mean, spread", "decode", "out")
    assert [block.where for block in net.blocks] == [f"at the input of {names}" for names in readers]
    assert net.output_shape == (6 + 2 + 2,)
    picture, mean, _ = model(x)
    (picture.square().sum() + mean.square().sum()).backward()
    assert net.report()["out.weight"] == "exact" and model.mean.weight.grad.any()


def test_two_heads_read_one_body():
    def forward(net, x):
        hidden = torch.tanh(net.b(torch.tanh(net.a(x))))
        return net.policy(hidden), net.value(hidden)

    model = Net(forward, a=nn.Linear(6, 8), b=nn.Linear(8, 8), policy=nn.Linear(8, 3), value=nn.Linear(8, 1))
    x = torch.randn(4, 6)
    net = gb.attach(model, "dfa", x)
    assert [(block.name, block.where) for block in net.blocks] == [
        ("a", "at the input of b"),
        ("b", "at the input of policy, value"),
    ]
    policy, value = model(x)
    (policy.square().sum() + value.sum()).backward()
    assert {name for name, credit in net.report().items() if credit == "exact"} == {
        f"{head}.{part}" for head in ("policy", "value") for part in ("weight", "bias")
    }
