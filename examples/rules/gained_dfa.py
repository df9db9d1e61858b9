"""DFA with a gain per block that the optimizer trains: parameters of the rule's own."""

import torch
from torch import nn

import grape_bench as gb


class Gain(nn.Module):
    """The logarithm of a block's gain."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(()))


class GainedDFA(gb.DirectFeedback):
    """dL/dh_l := g_l B_l^T e. g_l learns to make the signal of a sample `share` times as large as its activation."""

    def __init__(self, share: float = 0.1, gain_lr: float = 0.01) -> None:
        super().__init__()
        self.share, self.gain_lr = share, gain_lr

    def setup(self, network: gb.Network) -> None:
        """Draw B_l as DFA does. Each block owns its gain, which has a learning rate of its own."""
        super().setup(network)
        for block in network.blocks:
            block.own(Gain(), "gain", lr=self.gain_lr)

    def signal(self, block: gb.Block, error: torch.Tensor) -> torch.Tensor:
        """g_l B_l^T e, shaped like `block.output`. What `backward()` leaves in the gain is its gradient."""
        direct, log_gain = self.project(error, block), block.owned("gain").log
        with torch.enable_grad():
            # The error of a mean loss is 1/N of a sample's error, times the factor of loss scaling.
            size = len(error) * direct.norm() / block.loss_scale
            wanted = self.share * block.output.norm()
            gap = log_gain + (size.clamp_min(1e-12) / wanted.clamp_min(1e-12)).log()
            (block.loss_scale * gap.square() / 2).backward()
        return direct * log_gain.detach().exp()
