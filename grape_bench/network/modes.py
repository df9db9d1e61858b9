"""Training and evaluation mode per module. A model factory may keep some modules in evaluation mode for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


class Modes:
    """The modes in which `model` trains, as its factory left them.

    Modules that are in evaluation mode now, such as a frozen BatchNorm, stay in it. But if the model itself is in
    evaluation mode, like a pretrained model that was just loaded, then no single module was frozen on purpose, and all
    of them train.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.frozen = [module for module in model.modules() if not module.training] if model.training else []

    def train(self) -> None:
        """Put the model into training mode, except for the frozen modules."""
        self.model.train()  # the model's own `train`, which may freeze more modules
        for module in self.frozen:
            module.training = False


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and restore each module's own mode at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
