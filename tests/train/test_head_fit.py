"""The fitted head matches scikit-learn's logistic regression and closed-form ridge. Validation selects the penalty."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from grape_bench.data.rows import Samples
from grape_bench.objectives.classification import Classification
from grape_bench.objectives.objective import Objective
from grape_bench.objectives.regression import Regression
from grape_bench.objectives.target import IGNORED
from grape_bench.train.head_fit import PENALTIES, Fit, best_fit, fits


def classes(count: int = 3) -> Classification:
    objective = Classification()
    objective.size = objective.classes = count
    return objective


def values(size: int = 2) -> Regression:
    objective = Regression()
    objective.size = size
    return objective


def labeled(rows: int = 200, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features (rows, 5), one of them constant and one on another scale, and labels that depend on them."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(rows, 5, generator=generator)
    scores = features @ torch.randn(5, 3, generator=generator) + noise * torch.randn(rows, 3, generator=generator)
    features[:, 0] = 3.0
    features[:, 1] *= 1e4
    return features, scores.argmax(1)


def fit_of(penalty: float, features: Tensor, target: Tensor, objective: Objective, *, bias: bool = True) -> Fit:
    return next(fit for fit in fits(features, target, objective, bias=bias) if fit.penalty == penalty)


@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
def test_a_head_for_classes_is_a_logistic_regression(penalty: float) -> None:
    features, labels = labeled()
    scaled = (features - features.mean(0)) / features.std(0, correction=0).where(features.std(0) > 0, 1)
    theirs = LogisticRegression(C=1 / (penalty * len(features)), tol=1e-8, max_iter=1000).fit(scaled, labels)
    ours = fit_of(penalty, features, labels, classes()).module()
    expected = torch.from_numpy(theirs.predict_proba(scaled)).float()
    torch.testing.assert_close(ours(features).softmax(1), expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize("bias", [True, False])
def test_a_head_for_values_is_a_ridge_regression(bias: bool) -> None:
    features, _ = labeled()
    target = features[:, 2:4] + 0.5 * torch.randn(200, 2, generator=torch.Generator().manual_seed(1)) + 1
    fit, x, y = fit_of(1e-2, features, target, values(), bias=bias), features.double(), target.double()
    center, middle = (x.mean(0), y.mean(0)) if bias else (torch.zeros(5), torch.zeros(2))
    std = (x - center).square().mean(0).sqrt()
    z = (x - center) / std.where(std > 0, 1)
    # The loss is the mean over 200 · 2 numbers, so the penalty of a sum over rows is 200 · 2 · penalty / 2.
    expected = torch.linalg.solve(z.T @ z + 200 * 1e-2 * torch.eye(5), z.T @ (y - middle))
    torch.testing.assert_close(fit.module()(features).double(), z @ expected + middle, rtol=0, atol=2e-3)
    assert (fit.bias is None) is not bias


def test_validation_chooses_the_penalty() -> None:
    """Labels without a pattern need the strongest penalty, and clear ones a weak one."""
    features, clear = labeled(noise=0.0)
    chance = torch.randint(3, (200,), generator=torch.Generator().manual_seed(2))
    chosen = []
    for labels in (chance, clear):
        train, held_out = Samples((features[:100],), labels[:100]), Samples((features[100:],), labels[100:])
        chosen.append(best_fit(train, held_out, classes(), bias=True).penalty)
    assert chosen[0] > 100 * chosen[1] and set(chosen) <= set(PENALTIES)


def test_a_fit_repeats_to_the_bit_and_leaves_out_ignored_targets() -> None:
    features, labels = labeled()
    unlabeled = torch.cat([labels, torch.full((50,), IGNORED)])
    more = torch.cat([features, features[:50]])
    one, two = (fit_of(1e-2, more, unlabeled, classes()) for _ in range(2))
    assert torch.equal(one.weight, two.weight)
    assert one.loss == pytest.approx(F.cross_entropy(one.module()(features), labels).item(), rel=1e-4)


def test_features_that_are_not_finite_are_refused() -> None:
    features, labels = labeled()
    features[3, 2] = float("inf")
    with pytest.raises(ValueError, match="not finite"):
        next(fits(features, labels, classes(), bias=True))
