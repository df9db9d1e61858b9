import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.job.optimizer import freeze, make_optimizer, model_groups


def test_settings_reach_the_optimizer():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = make_optimizer([weight], {"name": "sgd", "lr": 0.5, "momentum": 0.9})
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.param_groups[0]["momentum"] == 0.9


def test_settings_of_a_group_are_checked_like_those_of_the_suite():
    group = {"params": [torch.nn.Parameter(torch.ones(1))], "lrr": 0.1}
    with pytest.raises(UserError, match="unknown setting of optimizer 'sgd' 'lrr'; did you mean 'lr'"):
        make_optimizer([group], {"name": "sgd", "lr": 1.0})


def named(groups, model):
    """Each group's settings, and the names of its parameters."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [(group, [names[id(parameter)] for parameter in group.pop("params")]) for group in groups]


def test_the_last_pattern_that_matches_counts_and_equal_settings_share_a_group():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2), torch.nn.Linear(2, 1))
    groups = {"*": {"lr_scale": 0.5, "weight_decay": 0.1}, "2": {"lr_scale": 2.0}, "0.weight": {"frozen": True}}
    freeze(model, groups)
    assert named(model_groups(model, 1.0, "weights", groups), model) == [
        ({"lr": 0.5, "weight_decay": 0.0}, ["0.bias", "1.weight", "1.bias"]),
        ({"lr": 2.0}, ["2.weight"]),
        ({"lr": 2.0, "weight_decay": 0.0}, ["2.bias"]),
    ]


def test_a_pattern_is_a_whole_name_of_a_module():
    model = torch.nn.ModuleDict({"layer": torch.nn.Linear(1, 1), "layer2": torch.nn.Linear(1, 1)})
    freeze(model, {"layer": {"frozen": True}})
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["layer2.weight", "layer2.bias"]


@pytest.mark.parametrize("implementation", ["fused", "foreach"])
def test_another_implementation_takes_the_same_steps_up_to_rounding(implementation):
    plain, other = (torch.nn.Linear(3, 2) for _ in range(2))
    other.load_state_dict(plain.state_dict())
    for model, chosen in ((plain, {}), (other, {"implementation": implementation})):
        optimizer = make_optimizer(list(model.parameters()), {"name": "adamw", "lr": 0.1, **chosen})
        assert optimizer.defaults[implementation] is (True if chosen else None)
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(other.weight, plain.weight)


def test_an_optimizer_without_this_implementation_refuses_it():
    settings = {"name": "torch:RMSprop", "lr": 0.1, "implementation": "fused"}
    with pytest.raises(UserError, match=r"'torch:RMSprop' does not accept its settings.*fused"):
        make_optimizer([torch.nn.Parameter(torch.ones(1))], settings)
