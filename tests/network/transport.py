"""Weights that a backward reads, found by changing each of them, and a rule that reads them all."""

import torch

import grape_bench as gb


class Transported(gb.BackwardFeedback):
    """FA with B = W: backpropagation."""

    def draw(self, weight, generator):
        return weight.detach().clone()


def moved_by(model, x):
    """Names of the matrices whose change between one forward and its backward moves a gradient."""
    output = model(x)
    loss = (output * torch.arange(output.numel()).view(output.shape)).sum()
    parameters = list(model.parameters())
    still = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    read = []
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            kept = weight.data.clone()
            weight.data.add_(torch.randn_like(weight))
            moved = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            weight.data.copy_(kept)
            pairs = [(a, b) for a, b in zip(still, moved, strict=True) if a is not None]
            if not all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs):
                read.append(name)
    return read
