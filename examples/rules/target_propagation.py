"""Difference target propagation (Lee, Zhang, Fischer and Bengio 2015), with inverses that the rule trains."""

import torch
from torch import nn

import grape_bench as gb


class TargetPropagation(gb.TwoPhase):
    """Each block gets a target, and the signal is (output - target) / N.

    The output's target is y - `step` * N e. The inverse g_l maps what comes after block l (the next block's output, or
    the network's) back to block l. The target of block l is h_l + g_l(target above) - g_l(output above).
    The inverses are linear and trained on noisy activations: ||g_l(f(h_l + noise)) - (h_l + noise)||^2. They are
    owned parameters, so the optimizer trains them with the rest, at the rate `inverse_lr`.
    """

    def __init__(self, step: float = 1.0, noise: float = 0.1, inverse_lr: float = 1e-3) -> None:
        self.step, self.noise, self.inverse_lr = step, noise, inverse_lr

    def setup(self, network: gb.Network) -> None:
        """Give each block its inverse."""
        if network.sequences:
            raise gb.DoesNotApplyError("an inverse has a fixed number of inputs, and this network's sequences do not")
        if any(block.calls > 1 for block in network.blocks):
            raise gb.DoesNotApplyError("a block that is called several times has no single block above it")
        shape = torch.Size(network.output_shape)
        for block in reversed(network.blocks):
            inverse = nn.Sequential(nn.Flatten(), nn.Linear(shape.numel(), block.size), nn.Unflatten(1, block.shape))
            block.own(inverse, "inverse", lr=self.inverse_lr)
            shape = torch.Size(block.shape)

    def second_phase(self, network: gb.Network, first: gb.FirstPhase) -> None:
        """Train the inverses, and compute the targets from the output down."""
        self.train_inverses(network, first)
        self._signals = {}
        above, target = first.logits, first.logits - self.step * first.samples * first.error
        for block in reversed(network.blocks):
            output, inverse = first.outputs[block.key], block.owned("inverse")
            with torch.no_grad():
                below = output + inverse(target) - inverse(above)
            self._signals[block.key] = (output - below) / first.samples
            above, target = output, below

    def train_inverses(self, network: gb.Network, first: gb.FirstPhase) -> None:
        """Leave the gradients of the reconstruction losses in the inverses."""
        noisy = Noisy(self)
        with torch.no_grad():
            network.aside(noisy, first.batch)
        for block, above in zip(network.blocks, noisy.clean[1:], strict=True):
            restored = block.owned("inverse")(above)
            loss = (restored - noisy.seen[block.key]).square().sum() / first.samples
            loss.backward()

    def signal(self, block: gb.Block) -> torch.Tensor:
        """(output - target) / N."""
        return self._signals[block.key]


class Noisy(gb.Pass):
    """A forward in which noise is added to each block's output. It keeps the outputs before and after."""

    def __init__(self, rule: TargetPropagation) -> None:
        self.rule = rule
        self.clean: list[torch.Tensor] = []
        self.seen: dict[tuple[str, int], torch.Tensor] = {}

    def cut(self, block: gb.Block, output: torch.Tensor) -> torch.Tensor:
        """Add the noise."""
        noise = torch.empty_like(output).normal_(generator=self.rule.random(block))
        self.clean.append(output)
        self.seen[block.key] = output + self.rule.noise * output.square().mean().sqrt() * noise
        return self.seen[block.key].clone()  # the model may overwrite what it gets

    def join(self, logits: torch.Tensor) -> torch.Tensor:
        """Keep the network's output."""
        self.clean.append(logits)
        return logits
