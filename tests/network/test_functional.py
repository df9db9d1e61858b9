"""Activations, pooling, dropout and flattening as functions give the gradients that the same modules give."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.network.reads import labels_of
from grape_bench.rules.names import RULES
from tests.network.every_rule import NOT_FOR_AN_MLP, OF_OTHER_NETWORKS
from tests.network.problems import loss_of

EVERY_RULE = [*(rule for rule in RULES if rule not in OF_OTHER_NETWORKS), "dfa+anchor", "grape+anchor"]


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 12), nn.Linear(12, 10), nn.Linear(10, 5)

    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


class MlpOfModules(Mlp):
    def __init__(self):
        super().__init__()
        self.relu_a, self.relu_b = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return self.c(self.relu_b(self.b(self.relu_a(self.a(x)))))


class MlpOfOneModule(Mlp):
    """One ReLU module for both layers."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.c(self.relu(self.b(self.relu(self.a(x)))))


class MlpOfMethods(Mlp):
    def forward(self, x):
        return self.c(self.b(self.a(x).relu()).clamp(min=0))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 6, 3)
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(6)
        self.fc1, self.fc2 = nn.Linear(24, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.dropout2d(F.relu(F.max_pool2d(self.bn2(self.conv2(x)), 2)), 0.2, self.training)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(F.dropout(x, 0.3, self.training))


class CnnOfModules(Cnn):
    def __init__(self):
        super().__init__()
        relu1, relu2, relu3 = (nn.ReLU() for _ in range(3))
        self.after1 = nn.Sequential(relu1, nn.MaxPool2d(2))
        self.after2 = nn.Sequential(nn.MaxPool2d(2), relu2, nn.Dropout2d(0.2), nn.Flatten())
        self.after3 = nn.Sequential(relu3, nn.Dropout(0.3))

    def forward(self, x):
        x = self.after1(self.bn1(self.conv1(x)))
        x = self.after2(self.bn2(self.conv2(x)))
        return self.fc2(self.after3(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(8), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        return x + F.dropout(self.fc2(F.gelu(self.fc1(self.norm(x)))), 0.1, self.training)


class LayerOfModules(Layer):
    def __init__(self):
        super().__init__()
        self.gelu, self.dropout = nn.GELU(), nn.Dropout(0.1)

    def forward(self, x):
        return x + self.dropout(self.fc2(self.gelu(self.fc1(self.norm(x)))))


class Transformer(nn.Module):
    """The MLPs of a transformer, (N, T, C)."""

    def __init__(self, layer=Layer):
        super().__init__()
        self.stem, self.layers = nn.Linear(6, 8), nn.ModuleList(layer() for _ in range(2))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def of_modules():
    return Transformer(LayerOfModules)


def vectors():
    return torch.randn(6, 6)


def pictures():
    return torch.randn(4, 2, 14, 14)


def sequences():
    return torch.randn(4, 3, 6)


LAYERS = {"granularity": "layer"}

TWINS = {
    "mlp": (MlpOfModules, Mlp, vectors, {}),
    "mlp with one module": (MlpOfModules, MlpOfOneModule, vectors, {}),
    "mlp with methods": (MlpOfModules, MlpOfMethods, vectors, {}),
    "mlp by layers": (MlpOfModules, Mlp, vectors, LAYERS),
    "cnn": (CnnOfModules, Cnn, pictures, {}),
    "cnn by layers": (CnnOfModules, Cnn, pictures, LAYERS),
    "transformer": (of_modules, Transformer, sequences, {}),
    "transformer by layers": (of_modules, Transformer, sequences, LAYERS),
}


def trained(make, weights, x, rule, options):
    """The gradients of the second of two steps by name, after `attach` with `options`."""
    torch.manual_seed(0)
    model = make().train()
    model.load_state_dict(weights)
    net = gb.attach(model, rule, x, seed=1, **options)
    net.begin_epoch(batches=2)
    for _ in range(2):
        model.zero_grad()
        torch.manual_seed(2)
        net.step(x, loss_of, labels_of(net, ((x,), {})))
    return {name: p.grad for name, p in model.named_parameters()}, net


def credit_of_the_model(net):
    """What the rule owns has the name of a block, and an activation function's block is the layer before it."""
    return {name: credit for name, credit in net.report().items() if credit != "owned"}


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("twins", TWINS)
def test_functions_and_modules_give_equal_gradients_to_the_bit(twins, rule):
    of_modules, of_functions, example, options = TWINS[twins]
    if twins.startswith("mlp") and rule in NOT_FOR_AN_MLP:
        pytest.skip("the rule does not apply to an MLP")
    torch.manual_seed(0)
    x, weights = example(), of_functions().state_dict()
    try:
        expected, net = trained(of_modules, weights, x, rule, options)
    except gb.DoesNotApplyError as reason:
        pytest.skip(str(reason))
    found, twin = trained(of_functions, weights, x, rule, options)

    assert [block.shape for block in twin.blocks] == [block.shape for block in net.blocks]
    assert credit_of_the_model(twin) == credit_of_the_model(net)
    for name, gradient in expected.items():
        if gradient is None:
            assert found[name] is None, name
        else:
            assert torch.equal(found[name], gradient), name


@pytest.mark.parametrize("twins", [name for name in TWINS if name.startswith("mlp")])
def test_the_derivative_of_the_nonlinearity_is_part_of_the_block(twins):
    """Where a ReLU is closed for every sample, its unit's weights get no gradient under DFA."""
    _, of_functions, example, options = TWINS[twins]
    torch.manual_seed(0)
    model, x = of_functions(), example()
    with torch.no_grad():
        model.a.bias[3] = model.b.bias[4] = -100.0
    gb.attach(model, "dfa", x, **options)
    loss_of(model(x)).backward()
    assert not model.a.weight.grad[3].any() and model.a.weight.grad[:3].any()
    assert not model.b.weight.grad[4].any() and model.b.weight.grad[:4].any()
