"""Things that models do inside: shared weights, several outputs, statistics, dropout, in-place writes."""

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.passes import CutPass
from tests.network.awkward.comparison import RULES, X, assert_same, attach, expected_of, gradients, resnet, vit
from tests.network.problems import BY_NAME, loss_of


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape"])
def test_tied_embeddings_get_the_sum_of_both_places(rule):
    """As an untied model whose two matrices are equal, and whose feedback is the same."""
    problem, found = BY_NAME["gpt2"], []
    batch = problem.batch()
    for tied in (True, False):
        torch.manual_seed(0)
        model = problem.model().eval()
        if not tied:
            model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
        net = attach(model, rule, batch)
        for name, buffer in model.named_buffers():
            if "grape_bench" in name:
                buffer.copy_(torch.linspace(-1, 1, buffer.numel()).reshape(buffer.shape))
        found.append(gradients(model, batch, lambda batch: model(**batch)))  # noqa: B023
        assert net.report()["transformer.wte.weight"] == "rule"
    found[1]["transformer.wte.weight"] += found[1].pop("lm_head.weight")
    assert_same(found[0], found[1])


class Wrapped(nn.Module):
    """A block that returns its activation in some container, beside another tensor."""

    def __init__(self, pack):
        super().__init__()
        self.linear, self.pack = nn.Linear(6, 6), pack

    def forward(self, x):
        return self.pack(self.linear(x).tanh(), x.detach())


class Chain(nn.Module):
    def __init__(self, pack, unpack):
        super().__init__()
        torch.manual_seed(0)
        self.blocks, self.unpack = nn.ModuleList(Wrapped(pack) for _ in range(3)), unpack
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        for block in self.blocks:
            x = self.unpack(block(x))
        return self.head(x)


def plain():
    return Chain(lambda h, _: h, lambda output: output)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (lambda h, other: (h, other), lambda output: output[0]),
        (lambda h, other: [h, h], lambda output: output[1]),
        (lambda h, other: {"hidden": h, "other": other}, lambda output: output["hidden"]),
        (lambda h, other: BaseModelOutput(h, (other,)), lambda output: output.last_hidden_state),
        (lambda h, other: (None, {"deep": (h, other)}), lambda output: output[1]["deep"][0]),
    ],
    ids=["tuple", "twice", "dict", "ModelOutput", "nested"],
)
def test_blocks_that_return_a_container(rule, pack, unpack):
    x, model = torch.randn(5, 6), Chain(pack, unpack)
    net = attach(model, rule, x)
    assert [block.name for block in net.blocks] == ["blocks.0", "blocks.1", "blocks.2"]
    assert_same(gradients(model, x), expected_of(rule, plain, x))
    assert net.bp_fraction == (rule in ("bp", "fa"))


@pytest.mark.parametrize("rule", RULES)
def test_batchnorm_in_training_sees_each_batch_once(rule):
    """The forward on dual numbers leaves no trace in the statistics."""
    model, twin = resnet(), resnet()
    attach(model, rule)
    for _ in range(2):
        gradients(model)
        twin(X)
    assert all(torch.equal(buffer, model.get_buffer(name)) for name, buffer in twin.named_buffers())
    assert model.bn1.num_batches_tracked == 2


@pytest.mark.parametrize("rule", RULES)
def test_dropout_masks_are_those_without_a_rule(rule):
    model = BY_NAME["bert"].model().train()
    batch = BY_NAME["bert"].batch()
    torch.manual_seed(1)
    expected = [model(**batch).logits for _ in range(2)]
    attach(model, rule, batch)
    torch.manual_seed(1)
    found = [model(**batch).logits for _ in range(2)]
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("rule", RULES)
def test_activations_in_place(rule):
    def mlp(inplace):
        torch.manual_seed(0)
        layers = [layer for _ in range(3) for layer in (nn.Linear(6, 6), nn.ReLU(inplace=inplace))]
        return nn.Sequential(*layers, nn.Linear(6, 3))

    x, model = torch.randn(5, 6), mlp(inplace=True)
    attach(model, rule, x)
    assert_same(gradients(model, x), expected_of(rule, lambda: mlp(inplace=False), x))


class PreActivation(nn.Module):
    """A residual block that begins with an activation: in place, it overwrites the output of the one before."""

    def __init__(self, inplace):
        super().__init__()
        self.act, self.linear = nn.ReLU(inplace), nn.Linear(6, 6)

    def forward(self, x):
        x = self.act(x)
        return x + self.linear(x)


def residual(inplace):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), *(PreActivation(inplace) for _ in range(3)), nn.Linear(6, 3))


@pytest.mark.parametrize("rule", RULES)
def test_a_block_that_overwrites_the_one_before(rule):
    x, model = torch.randn(5, 6), residual(inplace=True)
    attach(model, rule, x)
    assert_same(gradients(model, x), expected_of(rule, lambda: residual(inplace=False), x))


def test_an_overwritten_output_is_not_read_as_if_it_were_the_blocks():
    def signal(block, error):
        return torch.zeros(block.output_shape) if block.output.sum() else block.output

    x = torch.randn(5, 6)
    for inplace in (False, True):
        net = gb.attach(residual(inplace), "bp", x)
        loss = loss_of(net.run(CutPass(signal), ((x,), {})))
        if inplace:
            with pytest.raises(UserError, match="overwrites the output of block"):
                loss.backward()
        else:
            loss.backward()


@pytest.mark.parametrize("rule", RULES)
def test_the_output_may_be_written_to(rule):
    """A temperature, a mask over classes."""
    found = []
    for halve in (torch.Tensor.mul, torch.Tensor.mul_):
        model = vit()
        attach(model, rule)
        found.append(gradients(model, call=lambda x: halve(model(x), 0.5)))  # noqa: B023
    assert_same(found[1], found[0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_channels_last(rule, when):
    """Before or after attaching; in float64, as another order of sums moves the gradients of this network by 1e-3."""
    x, model = X.double(), resnet().double()
    if when == "before":
        model.to(memory_format=torch.channels_last)
    attach(model, rule, x)
    model.to(memory_format=torch.channels_last)
    found = gradients(model, x.to(memory_format=torch.channels_last))
    assert_same(found, expected_of(rule, lambda: resnet().double(), x), tolerance=1e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_frozen_parameters_stay_without_gradient_and_change_no_other(rule, when):
    model = vit()
    frozen = dict(model.blocks[1].named_parameters(prefix="blocks.1")).keys() | {"patch_embed.proj.weight"}

    def freeze():
        for name in frozen:
            model.get_parameter(name).requires_grad_(False)

    if when == "before":
        freeze()
    net = attach(model, rule)
    if when == "after":
        freeze()
    expected = {name: value for name, value in expected_of(rule).items() if name not in frozen}
    assert_same(gradients(model), expected)
    assert {name for name, credit in net.report().items() if credit == "frozen"} == frozen
