"""Lazy modules are built when a rule is attached, and scripted ones are refused."""

import warnings

import pytest
import torch
from torch import nn

import grape_bench as gb

X = torch.randn(4, 8)


def lazy() -> nn.Module:
    return nn.Sequential(
        nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(5)
    )


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "grape"])
def test_lazy_layers_are_built_with_fresh_statistics(rule):
    model = lazy()
    net = gb.attach(model, rule, X)
    assert [block.name for block in net.blocks] == ["2", "4"]
    assert model.training and model[1].running_mean.abs().max() == 0 and model[1].num_batches_tracked == 0
    model(X).sum().backward()
    assert model[0].weight.grad is not None and model[1].num_batches_tracked == 1


def test_a_lazy_module_that_the_forward_does_not_use_is_refused():
    model = lazy()
    model.unused = nn.LazyLinear(3)
    model.forward = lambda x: nn.Sequential(*list(model)[:-1])(x)
    with pytest.raises(gb.UserError, match=r"the forward does not use 'unused\.weight' of a lazy module"):
        gb.attach(model, "dfa", X)


def test_the_weights_of_lazy_layers_come_from_the_seed():
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(lazy())
        gb.attach(models[-1], "bp", X)
    assert all(map(torch.equal, *(model.state_dict().values() for model in models)))


@pytest.mark.parametrize("whole", [True, False])
def test_scripted_modules_are_refused(whole):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    model = part if whole else nn.Sequential(nn.Linear(8, 8), part, nn.Linear(8, 5))
    with pytest.raises(gb.UserError, match="is TorchScript") as error:
        gb.attach(model, "dfa", X)
    assert ("'1'" in str(error.value)) is not whole
