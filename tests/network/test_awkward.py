"""What real training does to a model, and that a rule's gradients are the same through it."""

import copy
import io

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench.network.attach import attached
from tests.network.problems import BY_NAME, loss_of, tanh_mlp

RULES = ["bp", "fa", "dfa", "grape"]
X = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def gradients(model, x=X, **context):
    """One backward of the model as it is; its gradients."""
    model.zero_grad()
    loss_of(model(x)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= tolerance * gradient.norm() + 1e-9, name


def vit():
    torch.manual_seed(0)
    return BY_NAME["vit"].model().train()


def expected_of(rule, make=vit):
    model = make()
    gb.attach(model, rule, X, seed=1)
    return gradients(model)


@pytest.mark.parametrize("rule", RULES)
def test_a_deep_copy_has_a_rule_of_its_own(rule):
    model = vit()
    net = gb.attach(model, rule, X, seed=1)
    twin = copy.deepcopy(model)
    assert_same(gradients(twin), expected_of(rule))
    assert all(p.grad is None for p in model.parameters()) and net.backward_passes == 0
    assert attached(twin).report() == net.report()
    attached(twin).detach()
    assert attached(model) is net and list(twin.state_dict()) == list(vit().state_dict())


@pytest.mark.parametrize("rule", RULES)
def test_an_attached_model_is_pickled_with_its_rule(rule):
    model = vit()
    gb.attach(model, rule, X, seed=1)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert_same(gradients(torch.load(file, weights_only=False)), expected_of(rule))


@pytest.mark.parametrize("rule", RULES)
def test_activation_checkpointing_changes_no_gradient(rule):
    model = vit()
    model.set_grad_checkpointing(True)
    gb.attach(model, rule, X, seed=1)
    assert_same(gradients(model), expected_of(rule))


@pytest.mark.parametrize("rule", RULES)
def test_a_compiled_model_has_the_same_gradients(rule):
    model = vit()
    net = gb.attach(model, rule, X, seed=1)
    assert_same(
        gradients(torch.compile(model, backend="eager")), {f"_orig_mod.{k}": v for k, v in expected_of(rule).items()}
    )
    assert net.backward_passes == 1


@pytest.mark.parametrize("rule", RULES)
def test_channels_last(rule):
    def resnet():
        torch.manual_seed(0)
        return BY_NAME["resnet18"].model().train()

    model = resnet().to(memory_format=torch.channels_last)
    gb.attach(model, rule, X, seed=1)
    assert_same(gradients(model, X.to(memory_format=torch.channels_last)), expected_of(rule, resnet), tolerance=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_autocast_to_bfloat16_gives_the_gradients_to_its_precision(rule):
    model = vit()
    gb.attach(model, rule, X, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(model(X))
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    assert_same(found, expected_of(rule), tolerance=0.05)


@pytest.mark.parametrize("rule", RULES)
def test_hidden_gradients_scale_with_a_gradient_scaler(rule):
    model = vit()
    gb.attach(model, rule, X, seed=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(loss_of(model(X))).backward()
    found = {name: p.grad / 1024 for name, p in model.named_parameters()}
    assert_same(found, expected_of(rule), tolerance=1e-4)


@pytest.mark.parametrize("rule", ["fa", "dfa"])
def test_accumulated_gradients_are_those_of_the_joint_batch(rule):
    model = vit()
    gb.attach(model, rule, X, seed=1)
    outputs = torch.cat([model(half) for half in X.chunk(2)])
    loss_of(outputs).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert_same(found, expected_of(rule), tolerance=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_in_place_activations(rule):
    def mlp(inplace):
        torch.manual_seed(0)
        layers = [layer for _ in range(3) for layer in (nn.Linear(6, 6), nn.ReLU(inplace=inplace))]
        return nn.Sequential(*layers, nn.Linear(6, 3))

    x, found = torch.randn(5, 6), []
    for inplace in (False, True):
        model = mlp(inplace)
        gb.attach(model, rule, x, seed=1)
        found.append(gradients(model, x))
    assert_same(found[1], found[0])


@pytest.mark.parametrize("rule", RULES)
def test_frozen_parameters_stay_without_gradient_and_change_no_other(rule):
    model = vit()
    frozen = dict(model.blocks[1].named_parameters(prefix="blocks.1")).keys() | {"patch_embed.proj.weight"}
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    net = gb.attach(model, rule, X, seed=1)
    expected = {name: value for name, value in expected_of(rule).items() if name not in frozen}
    assert_same(gradients(model), expected)
    assert {name for name, credit in net.report().items() if credit == "frozen"} == frozen


@pytest.mark.parametrize("rule", RULES)
def test_evaluation_between_steps_changes_nothing(rule):
    x, found = torch.randn(8, 6), []
    for evaluate in (False, True):
        torch.manual_seed(0)
        model = tanh_mlp()
        gb.attach(model, rule, x, seed=1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            if evaluate:
                model.eval()
                with torch.no_grad():
                    model(x)
                model.train()
            optimizer.zero_grad()
            loss_of(model(x)).backward()
            optimizer.step()
        found.append(dict(model.state_dict()))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape"])
def test_sequences_of_any_length_through_one_attachment(rule):
    model = BY_NAME["llama"].model().train()
    gb.attach(model, rule, {"input_ids": torch.randint(3, 60, (2, 6))})
    for length in (3, 9):
        model.zero_grad()
        loss_of(model(input_ids=torch.randint(3, 60, (2, length)))).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
