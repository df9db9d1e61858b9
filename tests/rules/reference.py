"""The rules written out for a multilayer perceptron, sample by sample, from the papers' formulas.

Layers are (W, b); every hidden layer ends in tanh; the loss is the mean cross-entropy.
"""

import numpy as np
import torch
from torch import Tensor

Layers = list[tuple[Tensor, Tensor]]


def forward(layers: Layers, x: Tensor) -> list[Tensor]:
    """The hidden activations and the logits of one sample."""
    activations = []
    for index, (W, b) in enumerate(layers):
        a = torch.stack([sum(W[i, j] * x[j] for j in range(len(x))) + b[i] for i in range(len(b))])
        x = a if index == len(layers) - 1 else torch.tanh(a)
        activations.append(x)
    return activations


def output_error(logits: Tensor, label: int) -> Tensor:
    """dL/dy of the cross-entropy of one sample: softmax(y) - onehot."""
    error = torch.softmax(logits, 0)
    error[label] -= 1
    return error


def gradients(layers: Layers, xs: Tensor, labels: Tensor, hidden_signal) -> list[tuple[Tensor, Tensor]]:
    """(dW, db) of every layer, given dL/dh_l from `hidden_signal(l, error, deltas above)`."""
    totals = [(torch.zeros_like(W), torch.zeros_like(b)) for W, b in layers]
    for x, label in zip(xs, labels.tolist(), strict=True):
        h = forward(layers, x)
        error = output_error(h[-1], label)
        delta = error
        for l in reversed(range(len(layers))):
            if l < len(layers) - 1:
                delta = hidden_signal(l, error, delta) * (1 - h[l] ** 2)
            below = x if l == 0 else h[l - 1]
            for i in range(len(delta)):
                totals[l][1][i] += delta[i] / len(xs)
                for j in range(len(below)):
                    totals[l][0][i, j] += delta[i] * below[j] / len(xs)
    return totals


def bp_signal(layers: Layers):
    """W^T delta."""
    return lambda l, error, delta: layers[l + 1][0].T @ delta


def fa_signal(feedback: list[Tensor]):
    """B^T delta, B shaped like the W above (Lillicrap et al. 2016, eq. 1)."""
    return lambda l, error, delta: feedback[l + 1].T @ delta


def dfa_signal(feedback: list[Tensor]):
    """B_l^T e (Nøkland 2016, eq. 7)."""
    return lambda l, error, delta: feedback[l].T @ error


def seeded_feedback(seed: int, outputs: int, features: int) -> Tensor:
    """Signs ÷ sqrt(features), bit by bit from the words of the generator."""
    words = np.random.SFC64((seed, 0)).random_raw(-(-outputs * features // 64))
    bits = [word >> (8 * byte + bit) & 1 for word in map(int, words) for byte in range(8) for bit in reversed(range(8))]
    signs = torch.tensor(bits[: outputs * features], dtype=torch.float64) * 2 - 1
    return signs.reshape(outputs, features) / features**0.5


def jacobian_vector(layers: Layers, hidden: list[Tensor], l: int, p: Tensor) -> Tensor:
    """J_l p of one sample by the chain rule, one layer at a time."""
    for k in range(l + 1, len(layers)):
        p = layers[k][0] @ p
        if k < len(layers) - 1:
            p = (1 - hidden[k] ** 2) * p
    return p


def grape_step(B: Tensor, estimate: Tensor, lr: float, columns: str, cosine: str) -> Tensor:
    """One gradient step on 1 - c and the normalisation of each column, by autograd and loops."""
    B = B.clone().requires_grad_(True)
    vectors = list(zip(B, estimate, strict=True)) if columns == "output" else list(zip(B.T, estimate.T, strict=True))
    if cosine == "columns":
        c = sum(torch.dot(b, j) / (b.norm() * j.norm()) for b, j in vectors) / len(vectors)
    else:
        c = (B * estimate).sum() / (B.norm() * estimate.norm())
    (gradient,) = torch.autograd.grad(1 - c, B)
    B = (B - lr * gradient).detach()
    for k in range(len(vectors)):
        if columns == "output":
            B[k] = B[k] / B[k].norm()
        else:
            B[:, k] = B[:, k] / B[:, k].norm()
    return B


def nlms_step(B: Tensor, directions: Tensor, effects: Tensor) -> Tensor:
    """B plus the sum over samples of the outer product of what B got wrong and p, over n + b + 1."""
    total = torch.zeros_like(B)
    for p, d in zip(directions, effects, strict=True):
        total += torch.outer(d - B @ p, p)
    return B + total / (B.shape[1] + len(directions) + 1)
