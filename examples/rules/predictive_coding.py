"""Predictive coding (Whittington and Bogacz 2017): the activations relax before the weights learn."""

import torch

import grape_bench as gb


class PredictiveCoding(gb.TwoPhase):
    """Each block's output becomes a free state v_l, and the energy is L + sum_l ||v_l - h_l(v_{l-1})||^2 / 2N.

    The states start at the training forward's activations, where the energy is the loss. They take `steps` steps down
    the energy, at the given `rate`. Then the weights below get the energy's gradient at the relaxed states.
    Blocks relax at the same time, but each uses its transposed weights, once per step.
    """

    weight_transport = True

    def __init__(self, steps: int = 8, rate: float = 0.1) -> None:
        self.steps, self.rate = steps, rate

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Every relaxation step sends a gradient through each block."""
        return float(self.steps)

    def second_phase(self, network: gb.Network, first: gb.FirstPhase) -> None:
        """Relax the states, then leave the energy's gradients in the weights."""
        states = {key: output.clone().requires_grad_() for key, output in first.outputs.items()}
        for _ in range(self.steps):
            gradients = torch.autograd.grad(self.energy(network, first, states), list(states.values()))
            for state, gradient in zip(states.values(), gradients, strict=True):
                state.data -= self.rate * first.samples * gradient
        self.energy(network, first, {key: state.detach() for key, state in states.items()}).backward()

    def energy(
        self, network: gb.Network, first: gb.FirstPhase, states: dict[tuple[str, int], torch.Tensor]
    ) -> torch.Tensor:
        """The loss and the prediction errors, each a mean over samples."""
        relaxed = Relaxed(states)
        loss = network.loss_of(network.aside(relaxed, first.batch))
        return loss + relaxed.surprise / first.samples


class Relaxed(gb.Pass):
    """A forward in which the model sees each block's state in place of its output."""

    cuts = True

    def __init__(self, states: dict[tuple[str, int], torch.Tensor]) -> None:
        self.states = states
        self.surprise: torch.Tensor | float = 0.0

    def cut(self, block: gb.Block, output: torch.Tensor) -> torch.Tensor:
        """Add the block's prediction error to the energy and return its state."""
        state = self.states[block.key]
        self.surprise = self.surprise + (state - output).square().sum() / 2
        return state.clone()  # the model may overwrite what it gets

    def again(self) -> gb.Pass:
        """Activation checkpointing repeats a part of this forward with the same states."""
        return self
