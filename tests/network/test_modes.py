"""Each module keeps the mode that the model's factory chose."""

from torch import nn

from grape_bench.network.modes import Modes, evaluation


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())


def modes(module: nn.Module) -> list[bool]:
    return [child.training for child in module.modules()]


def test_a_module_that_was_frozen_stays_in_evaluation_mode():
    net = model()
    net[1].eval()
    kept = Modes(net)
    with evaluation(net):
        assert modes(net) == [False] * 4
    assert modes(net) == [True, True, False, True]
    net.train()
    kept.train()
    assert modes(net) == [True, True, False, True]


def test_a_model_that_was_loaded_in_evaluation_mode_trains_as_a_whole():
    net = model().eval()
    Modes(net).train()
    assert modes(net) == [True] * 4


def test_a_model_s_own_train_method_is_called():
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> nn.Module:
            super().train(mode)
            self[1].training = False
            return self

    net = Frozen(*model())
    Modes(net).train()
    assert modes(net) == [True, True, False, True]
