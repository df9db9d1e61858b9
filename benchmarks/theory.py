"""The guarantee behind GrAPE, measured: `python -m benchmarks.theory [-o FOLDER]`.

E[cos_F(J_l, J^_l)] >= sqrt(2 / (pi n_l)) ||J_l||_2 / ||J_l||_F for one perturbation of one sample (Caillon et al., ICLR
2026), per block of an MLP, a CNN, a ViT and a decoder; how the cosine grows with the number of perturbations; how the
estimate of the mean Jacobian concentrates with the batch; bias and variance of the estimators over a batch. Writes
theory.csv, concentration.csv, estimators.csv and theory.svg, and exits with 1 where the bound is violated.
Everything is against exact Jacobians from reverse mode.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import torch
from torch import Tensor

import grape_bench as gb
from grape_bench.contract.cases import CASES, SAMPLES, Case
from grape_bench.diagnose.reading import forward
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.trace import Batch, as_batch
from grape_bench.network.trees import map_tensors
from grape_bench.rules.jacobian import Sampling, estimate_jacobians
from grape_bench.rules.layout import Dense

DRAWS, AVERAGED, REPEATS = 1024, (1, 4, 16, 64), 60
BATCHES = (3, 12, 48, 192)
SAMPLINGS = {
    "split": Sampling(estimator="split"),
    "joint": Sampling(estimator="joint"),
    "joint, half the batch": Sampling(fraction=0.5, estimator="joint"),
    "joint, 4 perturbations": Sampling(perturbations=4, estimator="joint"),
}


def networks() -> dict[str, tuple[Network, Batch]]:
    """One model of each kind and a batch. In evaluation mode, the output of a sample depends on that sample alone."""
    found = {}
    for case in CASES:
        network = gb.attach(case.model(), "bp", case.inputs(0))
        network.model.eval()
        found[case.name] = network, as_batch(case.inputs(1))
    return found


def exact(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Compute J_l (outputs x n_l) of every block, the mean over samples, with one backward pass per output."""
    _, watched = forward(network, Pass(), batch)
    assert watched.joined is not None
    rows = watched.joined.flatten(1)
    outputs = list(watched.outputs.values())
    found = [torch.autograd.grad(rows[:, k].sum(), outputs, retain_graph=True) for k in range(rows.shape[1])]
    return {
        name: torch.stack([gradients[index].flatten(1).mean(0) for gradients in found])
        for index, name in enumerate(watched.outputs)
    }


def bound(J: Tensor) -> float:
    """The guaranteed cosine for one perturbation."""
    return math.sqrt(2 / (math.pi * J.shape[1])) * (torch.linalg.matrix_norm(J, 2) / J.norm()).item()


def cosines(kind: str, network: Network, batch: Batch) -> list[dict[str, object]]:
    """Measured mean cosines of estimates from 1, 4, ... perturbations of one sample."""
    one = first(batch, 1)
    many = tuple(map_tensors(lambda tensor: tensor[:1].expand(DRAWS, *tensor.shape[1:]), part) for part in batch)
    rows: list[dict[str, object]] = []
    for name, J in exact(network, one).items():
        layout = {name: Dense(J.shape[1])}
        estimate = estimate_jacobians(network, many, layout, Sampling(estimator="joint"))[name]  # type: ignore[arg-type]
        for count in AVERAGED:
            d, p = (pairs.reshape(-1, count, pairs.shape[1]) for pairs in (estimate.effects, estimate.directions))
            matrices = torch.einsum("gio,gil->gol", d, p)
            found = (matrices * J).sum((1, 2)) / matrices.flatten(1).norm(dim=1) / J.norm()
            rows.append(
                {
                    "model": kind,
                    "block": name,
                    "n_l": J.shape[1],
                    "outputs": J.shape[0],
                    "perturbations": count,
                    "cosine": found.mean().item(),
                    "error": (found.std() / math.sqrt(len(found))).item(),
                    "spread": found.std().item(),
                    "bound": bound(J),
                }
            )
    return rows


def concentration(kind: str, network: Network, samples: Batch) -> list[dict[str, object]]:
    """Measure the root mean square error of J^ ÷ ||J|| for several batch sizes, with one perturbation per sample.

    Only one block is perturbed at a time, so the batch is the only average. The error falls with the square root of the
    batch size. `scaled`, the error times that root, is constant up to the differences between the samples' Jacobians.
    """
    rows: list[dict[str, object]] = []
    for size in BATCHES:
        batch = first(samples, size)
        for name, J in exact(network, batch).items():
            layout = {name: Dense(J.shape[1])}
            draws = [
                estimate_jacobians(network, batch, layout, Sampling(estimator="joint"))[name].matrix
                for _ in range(REPEATS)
            ]
            found = torch.stack(draws)
            error = ((found - J).square().sum((1, 2)).mean() / J.square().sum()).sqrt().item()
            cosine = ((found * J).sum((1, 2)) / found.flatten(1).norm(dim=1) / J.norm()).mean().item()
            scaled = error * math.sqrt(size)
            rows.append(
                {"model": kind, "block": name, "batch": size, "error": error, "scaled": scaled, "cosine": cosine}
            )
    return rows


def first(batch: Batch, size: int) -> Batch:
    """Keep the first `size` samples."""
    args, kwargs = batch
    return map_tensors(lambda tensor: tensor[:size], args), map_tensors(lambda tensor: tensor[:size], kwargs)


def samples(case: Case) -> Batch:
    """As many samples as the largest batch has."""
    batches = [as_batch(case.inputs(index)) for index in range(1, 1 + math.ceil(max(BATCHES) / SAMPLES))]
    if not case.shape:
        return (), {"input_ids": torch.cat([kwargs["input_ids"] for _, kwargs in batches])}
    return (torch.cat([args[0] for args, _ in batches]),), {}


def estimators(kind: str, network: Network, batch: Batch) -> list[dict[str, object]]:
    """Measure bias and variance of each estimator of the mean Jacobian over a batch, relative to its norm.

    `bias` is in units of sqrt(variance / repeats), the error of the mean of an unbiased estimator. So 1 means unbiased.
    """
    truth = exact(network, batch)
    layouts = {name: Dense(J.shape[1]) for name, J in truth.items()}
    rows: list[dict[str, object]] = []
    for label, sampling in SAMPLINGS.items():
        target = truth
        if sampling.fraction < 1:
            target = exact(network, first(batch, SAMPLES // 2))
        draws = [estimate_jacobians(network, batch, layouts, sampling) for _ in range(REPEATS)]
        for name, J in target.items():
            # With few samples, `split` may leave a block without any.
            found = torch.stack([draw[name].matrix for draw in draws if name in draw])
            variance = (found - J).square().sum((1, 2)).mean() / J.square().sum()
            off = (found.mean(0) - J).norm() / J.norm()
            expected = (variance / len(found)).sqrt()
            rows.append(
                {
                    "model": kind,
                    "block": name,
                    "estimator": label,
                    "variance": variance.item(),
                    "bias": off.item(),
                    "bias_of_chance": (off / expected).item(),
                    "repeats": len(found),
                }
            )
    return rows


def violated(table: pd.DataFrame) -> pd.DataFrame:
    """The rows for one perturbation whose measured mean is more than three standard errors below the bound."""
    one = table[table["perturbations"] == 1]
    return one[one["cosine"] + 3 * one["error"] < one["bound"]]


def draw(table: pd.DataFrame, path: Path) -> None:
    """Plot, per model and block, the cosine against the number of perturbations, and the bound for one."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    kinds = list(dict.fromkeys(table["model"]))
    figure, axes = plt.subplots(1, len(kinds), figsize=(2.6 * len(kinds), 2.8), sharey=True, layout="constrained")
    for kind, panel in zip(kinds, axes, strict=True):
        for index, (name, rows) in enumerate(table[table["model"] == kind].groupby("block", sort=False)):
            color = f"C{index}"
            panel.errorbar(
                rows["perturbations"], rows["cosine"], rows["spread"], marker="o", ms=3, color=color, label=name
            )
            panel.plot([rows["perturbations"].iloc[0]], rows["bound"].iloc[:1], marker="_", ms=14, mew=2, color=color)
        panel.set_xscale("log", base=4)
        panel.set_title(kind)
        panel.set_xlabel("perturbations")
        panel.legend(fontsize=7)
    axes[0].set_ylabel("cos(J, estimate); bar: bound")
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path())
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    every = networks()
    table = pd.DataFrame([row for kind, (net, batch) in every.items() for row in cosines(kind, net, batch)])
    quality = pd.DataFrame([row for kind, (net, batch) in every.items() for row in estimators(kind, net, batch)])
    spread = pd.DataFrame(
        [row for case in CASES for row in concentration(case.name, every[case.name][0], samples(case))]
    )
    spread.to_csv(output / "concentration.csv", index=False, float_format="%.4g")
    table.to_csv(output / "theory.csv", index=False, float_format="%.4g")
    quality.to_csv(output / "estimators.csv", index=False, float_format="%.4g")
    draw(table, output / "theory.svg")
    wide = table.pivot(index=["model", "block", "n_l", "bound"], columns="perturbations", values="cosine")
    print(wide.reset_index().to_string(index=False, float_format="{:.3f}".format))
    print(
        spread.pivot(index=["model", "block"], columns="batch", values="error").to_string(float_format="{:.2f}".format)
    )
    print(quality.to_string(index=False, float_format="{:.2f}".format))
    bad = violated(table)
    if len(bad):
        print(f"the bound is violated:\n{bad.to_string(index=False)}", file=sys.stderr)
    return 1 if len(bad) else 0


if __name__ == "__main__":
    sys.exit(main())
