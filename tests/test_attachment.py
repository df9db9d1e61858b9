import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.attachment import attached
from grape_bench.network.trace import as_batch
from tests.network.problems import BY_NAME, PROBLEMS, Problem, loss_of, tanh_mlp

RULES = ["bp", "fa", "dfa", "grape", "head-only"]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_rule_steps_and_leaves_the_model_as_it_was(problem: Problem):
    model, (args, kwargs) = problem.model().eval(), as_batch(problem.batch())
    names, state = list(model.state_dict()), copy.deepcopy(model.state_dict())
    logits = loss_of(model(*args, **kwargs))
    for rule in RULES:
        net = gb.attach(model, rule, kwargs or args)
        output = loss_of(model(*args, **kwargs))
        assert torch.equal(output, logits), "attached, the output is the same to the bit"
        model.train()
        loss_of(model(*args, **kwargs)).backward()
        for name, credit in net.report().items():
            gradient = model.get_parameter(name).grad
            assert (gradient is None) == (credit == "frozen"), (rule, name)
            assert gradient is None or gradient.isfinite().all(), (rule, name)
        net.detach()
        model.zero_grad()
        model.eval()
        model.load_state_dict(state)
        assert list(model.state_dict()) == names and attached(model) is None
        assert torch.equal(loss_of(model(*args, **kwargs)), logits)


@pytest.mark.parametrize(("rule", "fraction"), [("bp", 1), ("fa", 1), ("dfa", 0), ("grape", 0), ("head-only", 0)])
def test_bp_fraction_counts_the_hidden_blocks_that_autograd_goes_through(rule, fraction):
    net = gb.attach(tanh_mlp(), rule, torch.randn(4, 6))
    assert net.bp_fraction != net.bp_fraction, "NaN before the first backward"
    for _ in range(3):
        loss_of(net.model(torch.randn(4, 6))).backward()
    assert net.counts.backward == 3
    assert net.bp_fraction == fraction


def test_report_tells_hidden_head_and_frozen_parameters_apart():
    model = tanh_mlp()
    model[0].bias.requires_grad_(False)
    net = gb.attach(model, "dfa", torch.randn(4, 6))
    assert net.report() == {
        "0.weight": "rule",
        "0.bias": "frozen",
        "2.weight": "rule",
        "2.bias": "rule",
        "4.weight": "exact",
        "4.bias": "exact",
    }


def test_tied_embeddings_are_not_called_exact():
    problem = BY_NAME["gpt2"]
    assert gb.attach(problem.model(), "dfa", problem.batch()).report()["transformer.wte.weight"] == "rule"


def test_feedback_is_in_the_state_dict_and_not_among_the_parameters():
    model = tanh_mlp()
    parameters = list(model.parameters())
    gb.attach(model, "dfa", torch.randn(4, 6), seed=1)
    saved = copy.deepcopy(model.state_dict())
    assert [id(p) for p in model.parameters()] == [id(p) for p in parameters]
    other = tanh_mlp()
    gb.attach(other, "dfa", torch.randn(4, 6), seed=2)
    feedback = [name for name in saved if "feedback" in name]
    assert len(feedback) == 2 and not any(torch.equal(saved[n], other.state_dict()[n]) for n in feedback)
    other.load_state_dict(saved)
    assert all(torch.equal(saved[n], other.state_dict()[n]) for n in feedback)


def test_the_error_is_that_of_the_actual_backward_so_gradients_scale_with_the_loss():
    model, x = tanh_mlp(), torch.randn(4, 6)
    gb.attach(model, "dfa", x)
    F.cross_entropy(model(x), torch.arange(4)).backward()
    once = model[0].weight.grad.clone()
    model.zero_grad()
    (1024 * F.cross_entropy(model(x), torch.arange(4))).backward()
    torch.testing.assert_close(model[0].weight.grad, 1024 * once)


def test_two_forwards_before_the_backwards_keep_their_own_errors():
    model, a, b = tanh_mlp(), torch.randn(4, 6), torch.randn(4, 6)
    gb.attach(model, "dfa", a)
    for x in (a, b):
        loss_of(model(x)).backward()
    expected = model[0].weight.grad.clone()
    model.zero_grad()
    first, second = loss_of(model(a)), loss_of(model(b))
    first.backward()
    second.backward()
    torch.testing.assert_close(model[0].weight.grad, expected)


def test_a_loss_computed_inside_the_model_is_seen_where_the_head_is_a_module():
    problem = BY_NAME["bert"]
    model, batch = problem.model().eval(), problem.batch()
    gb.attach(model, "dfa", batch)
    labels = torch.tensor([0, 1, 0])
    model(**batch, labels=labels).loss.backward()
    inside = model.bert.encoder.layer[0].output.dense.weight.grad.clone()
    model.zero_grad()
    F.cross_entropy(model(**batch).logits, labels).backward()
    torch.testing.assert_close(model.bert.encoder.layer[0].output.dense.weight.grad, inside)


def test_every_occurrence_of_a_block_output_is_cut():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, pair):
            y = self.linear(pair[0] + pair[1]).relu()
            return [y, y]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(Twice() for _ in range(2))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            pair = [x, x]
            for block in self.blocks:
                pair = block(pair)
            return self.head(pair[1])

    net = gb.attach(Net(), "head-only", torch.randn(2, 4))
    loss_of(net.model(torch.randn(2, 4))).backward()
    assert net.counts.hidden == 0 and net.model.blocks[1].linear.weight.grad is None


def test_attaching_twice_is_refused_and_a_failed_setup_leaves_no_hook():
    model = tanh_mlp()
    gb.attach(model, "bp", torch.randn(4, 6))
    with pytest.raises(UserError, match="already has a learning rule"):
        gb.attach(model, "dfa", torch.randn(4, 6))

    class Broken(gb.DirectFeedback):
        def setup(self, network):
            super().setup(network)
            raise ValueError("no feedback today")

    other = tanh_mlp()
    with pytest.raises(ValueError, match="no feedback today"):
        gb.attach(other, Broken(), torch.randn(4, 6))
    assert attached(other) is None and not any("feedback" in name for name in other.state_dict())


def test_a_forward_that_fails_does_not_leave_a_pass_open():
    model = tanh_mlp()
    net = gb.attach(model, "fa", torch.randn(4, 6))
    with pytest.raises(RuntimeError):
        model(torch.randn(4, 9))
    loss_of(model(torch.randn(4, 6))).backward()
    assert net.counts.backward == 1


def test_a_signal_of_the_wrong_shape_is_named():
    class Flat(gb.DirectFeedback):
        def signal(self, block, error):
            return error

    model = tanh_mlp()
    gb.attach(model, Flat(), torch.randn(4, 6))
    with pytest.raises(ValueError, match=r"signal for block '3' has shape \(4, 4\); its output has \(4, 5\)"):
        loss_of(model(torch.randn(4, 6))).backward()


def test_an_example_that_the_model_cannot_take_is_named_with_what_it_may_be():
    model, x = tanh_mlp(), torch.randn(8, 6)
    with pytest.raises(gb.UserError, match="Sequential cannot run on this example: TypeError") as error:
        gb.attach(model, "dfa", ((x,), {}))
    assert "a tuple of positional arguments" in str(error.value)


class Bypassed(torch.nn.Module):
    """A residual stack of bare layers, which has no clean cut."""

    def __init__(self):
        super().__init__()
        self.layers, self.head = nn.ModuleList(nn.Linear(6, 6) for _ in range(3)), nn.Linear(6, 4)

    def forward(self, x):
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return self.head(x)


def test_rules_that_cut_nothing_train_a_network_that_cannot_be_cut():
    model, x = Bypassed(), torch.randn(4, 6)
    loss_of(model(x)).backward()
    exact = {name: p.grad.clone() for name, p in model.named_parameters()}
    for rule in ("bp", "fa", "usf", "kp"):
        model.zero_grad()
        net = gb.attach(model, rule, x)
        loss_of(model(x)).backward()
        equal = {name for name, p in model.named_parameters() if torch.equal(p.grad, exact[name])}
        assert net.blocks == [] and (equal == set(exact)) == (rule == "bp"), rule
        assert set(net.report().values()) == ({"exact"} if rule == "bp" else {"rule", "exact"}), rule
        assert net.bp_fraction == 1 or net.bp_fraction != net.bp_fraction, rule
        net.detach()


@pytest.mark.parametrize("rule", ["dfa", "grape", "fg", "local", "head-only"])
def test_rules_that_cut_refuse_it(rule):
    with pytest.raises(UserError, match="skip connection"):
        gb.attach(Bypassed(), rule, torch.randn(4, 6))


def test_blocks_by_name_are_checked_for_every_rule():
    with pytest.raises(UserError, match=r"cannot be cut at layers\.1"):
        gb.attach(Bypassed(), "bp", torch.randn(4, 6), blocks=["layers.1"])


def test_an_object_that_holds_its_tensors_in_attributes_is_named():
    class Graph:
        def __init__(self):
            self.x = torch.randn(4, 6)

    class OfGraphs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = tanh_mlp()

        def forward(self, graph):
            return self.body(graph.x)

    with pytest.raises(UserError, match="the output of OfGraphs depends on no tensor of the example") as refused:
        gb.attach(OfGraphs(), "dfa", Graph())
    assert "edge_index" in str(refused.value.hint)
    loss_of(gb.attach(OfGraphs(), "bp", Graph()).model(Graph())).backward()


def test_a_model_on_mps_is_refused():
    class OnMPS(nn.Linear):
        def parameters(self, recurse=True):
            return iter([SimpleNamespace(device=torch.device("mps"))])

    with pytest.raises(UserError, match=r'OnMPS: the device mps is not supported.*\n  try: model.to\("cpu"\)'):
        gb.attach(OnMPS(2, 2), "dfa", torch.ones(3, 2))


class Spectral(nn.Module):
    """Multiplies frequencies by a complex weight, which is a parameter or is computed from two real ones."""

    def __init__(self, *, derived: bool) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.parts = nn.ParameterList(
            [torch.randn(9, 9), torch.randn(9, 9)] if derived else [torch.randn(9, 9, dtype=torch.cfloat)]
        )

    def forward(self, x):
        weight = torch.complex(*self.parts) if len(self.parts) == 2 else self.parts[0]
        x = torch.fft.irfft(torch.fft.rfft(self.first(x).relu()) @ weight, n=16).relu()
        return self.head(self.second(x).relu())


@pytest.mark.parametrize("rule", ["dfa", "fa", "usf", "grape", "local"])
def test_complex_parameters_are_refused_unless_the_rule_is_backpropagation(rule):
    x = torch.randn(6, 8)
    model = Spectral(derived=False)
    with pytest.raises(UserError, match=r"'parts.0' is complex[\s\S]*torch.complex"):
        gb.attach(model, rule, x)
    gb.attach(model, "bp", x)


def test_the_fa_family_refuses_complex_weights_that_are_computed():
    x = torch.randn(6, 8)
    with pytest.raises(UserError, match="a complex weight is computed"):
        gb.attach(Spectral(derived=True), "fa", x)
    assert gb.attach(Spectral(derived=True), "dfa", x).report()["parts.0"] == "rule"
