"""An MLP of plain PyTorch, with its default initialization, for scores that were published for one."""

from math import prod

from torch import nn


def net(shape: tuple[int, ...], classes: int, hidden: int = 30) -> nn.Module:
    """One hidden layer of ReLU."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), hidden), nn.ReLU(), nn.Linear(hidden, classes))
