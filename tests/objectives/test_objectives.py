"""Every objective on targets whose metric can be computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.objectives.make import make_objective
from grape_bench.objectives.names import METRIC_UNITS, OBJECTIVES
from grape_bench.objectives.objective import Objective
from grape_bench.objectives.target import IGNORED
from tests.objectives.data import Data, classes, values


def made(name: str, data: Data, **args: object) -> Objective:
    return make_objective(name, **args).bind(data)


def score(objective: Objective, *batches: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """The metric and its standard error over batches."""
    tallies = [objective.tally(output, target) for output, target in batches]
    sums = {
        name: torch.cat([tally[name].double() for tally in tallies])
        if name in objective.kept
        else torch.stack([tally[name].double() for tally in tallies]).sum(0)
        for name in tallies[0]
    }
    return float(objective.value(sums)), float(objective.error(sums))


def logits(*picked: int, of: int) -> Tensor:
    return 5 * torch.nn.functional.one_hot(torch.tensor(picked), of).float()


def test_every_objective_loads_and_names_a_known_metric() -> None:
    for name in OBJECTIVES:
        assert make_objective(name).metric in METRIC_UNITS


def test_classification_counts_correct_labels_over_batches() -> None:
    objective = made("classification", classes([0, 1, 2], of=3))
    found = score(objective, (logits(0, 1, 2, of=3), torch.tensor([0, 1, 1])), (logits(2, of=3), torch.tensor([2])))
    assert found == pytest.approx((75.0, 100 * math.sqrt(0.75 * 0.25 / 4)))
    assert objective.size == 3


def test_nodes_of_other_splits_do_not_count() -> None:
    objective = made("node-classification", classes([0, 1], of=2))
    target = torch.tensor([0, IGNORED, 1, IGNORED])
    assert score(objective, (logits(0, 1, 0, 0, of=2), target))[0] == 50
    output = logits(0, 1, 1, 0, of=2).requires_grad_()
    objective.loss(output, target).backward()
    assert output.grad is not None and (output.grad != 0).any(1).tolist() == [True, False, True, False]


def test_guessing_is_one_in_classes_unless_a_class_dominates() -> None:
    balanced, skewed = classes([0, 1, 2, 0], of=3), classes([0, 0, 0, 1], of=2)
    assert made("classification", classes([0, 0, 1, 1, 0], of=2)).chance(classes([0, 0, 1, 1, 0], of=2)) == 50
    assert made("classification", skewed).chance(skewed) == 75
    assert made("classification", balanced).chance(balanced) == 50, "class 0 has 2 of 4 samples, 1.5 times the mean"


def test_perplexity_is_the_exponential_of_the_mean_loss_over_tokens() -> None:
    data = classes([0, 0, 0, 1], of=2, unit="character")
    objective = made("next-token", data)
    # Probability 0.8 of the right token at two positions, 0.2 at one; one position is padding.
    right = torch.tensor([math.log(0.8), math.log(0.2)])
    output, target = right.expand(1, 4, 2), torch.tensor([[0, 0, 1, IGNORED]])
    nats = -(2 * math.log(0.8) + math.log(0.2)) / 3
    assert float(objective.loss(output, target)) == pytest.approx(nats)
    value, error = score(objective, (output, target))
    assert value == pytest.approx(math.exp(nats))
    # Losses -log 0.8, -log 0.8, -log 0.2 differ by log 4: variance (2/9) log(4)^2, over 3 tokens.
    assert error == pytest.approx(math.log(4) * math.sqrt(2 / 9 / 3), rel=1e-5)
    objective.check(output, target)
    objective.check(output.reshape(4, 2), target)
    # Shares 3/4 and 1/4 of the training tokens.
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert objective.chance(data) == pytest.approx(math.exp(entropy))
    bits = made("next-token", data, metric="bits_per_character")
    assert score(bits, (output, target))[0] == pytest.approx(nats / math.log(2))
    assert bits.chance(data) == pytest.approx(entropy / math.log(2))
    with pytest.raises(UserError, match="tokens that are characters, not tokens"):
        made("next-token", classes([0, 1], of=2, unit="token"), metric="bits_per_character")


def test_a_sequence_to_sequence_model_is_scored_on_the_decoder_without_padding() -> None:
    objective = made("seq2seq", classes([0, 1], of=2))
    output, target = torch.zeros(2, 3, 2), torch.tensor([[0, 1, 1], [0, IGNORED, IGNORED]])
    assert score(objective, (output, target))[0] == pytest.approx(2)


def test_rmse_is_in_the_units_of_the_data() -> None:
    # Targets 10, 20, 30 (mean 20, standard deviation s = sqrt(200 / 3)), standardized.
    scale = math.sqrt(200 / 3)
    standardized = [[-10 / scale], [0.0], [10 / scale]]
    data = values(standardized, scale=(scale,))
    objective = made("regression", data)
    target = torch.tensor(standardized)
    output = torch.tensor([[-10 / scale], [3 / scale], [6 / scale]])  # errors 0, 3, 4 in the data's units
    value, error = score(objective, (output, target))
    assert value == pytest.approx(math.sqrt(25 / 3), rel=1e-5)
    # Squares 0, 9, 16: mean 25/3, variance 337/3 - (25/3)^2 = 42.89; se of the mean sqrt(42.89 / 3), ÷ (2 rmse).
    assert error == pytest.approx(math.sqrt(42.888889 / 3) / (2 * math.sqrt(25 / 3)), rel=1e-4)
    assert objective.chance(data) == pytest.approx(scale, rel=1e-5)
    r2 = made("regression", data, metric="r2")
    assert score(r2, (output, target))[0] == pytest.approx(1 - (25 / 3) / (200 / 3), rel=1e-5)
    assert r2.chance(data) == 0


def test_a_wrong_shape_is_refused_and_not_broadcast() -> None:
    objective = made("regression", values([[1.0], [2.0]]))
    with pytest.raises(UserError, match=r"a tensor of shape \(2,\)[\s\S]*\(N, 1\)"):
        objective.scored(torch.zeros(2), torch.zeros(2, 1))
    with pytest.raises(UserError, match=r"logits of shape \(N, 3\)"):
        made("classification", classes([0, 1, 2], of=3)).scored(torch.zeros(2, 4), torch.zeros(2).long())
    with pytest.raises(UserError, match=r"logits of shape \(N, 5, 7\)"):
        made("next-token", classes([0], of=7)).scored(torch.zeros(2, 5, 6), torch.zeros(2, 5).long())
    with pytest.raises(UserError, match="no tensor"):
        objective.scored(None, torch.zeros(2, 1))


def test_psnr_of_a_mean_squared_error_of_a_hundredth_is_20_decibels() -> None:
    data = values([[0.0], [1.0]])
    objective = made("picture", data)
    assert score(objective, (torch.tensor([[0.4], [0.6]]), torch.tensor([[0.5], [0.5]])))[0] == pytest.approx(20)
    assert objective.chance(data) == pytest.approx(-10 * math.log10(0.25))


def test_roc_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    data = classes([0, 0, 1], of=2)
    target = torch.tensor([0, 0, 1, 1])
    output = torch.tensor([[-2.0], [1.0], [0.5], [3.0]])
    # Pairs (1, 0): 0.5 > -2, 0.5 < 1, 3 > -2, 3 > 1: three of four.
    halves = [(output[:2], target[:2]), (output[2:], target[2:])]
    assert score(made("binary", data), *halves)[0] == pytest.approx(75)
    assert score(made("binary", data, metric="accuracy"), *halves)[0] == pytest.approx(75)
    # Ranked 3 (1), 1 (0), 0.5 (1), -2 (0): precision 1 at the first positive, 2/3 at the second.
    precision = made("binary", data, metric="average_precision")
    assert score(precision, *halves)[0] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert precision.chance(data) == pytest.approx(100 / 3)
    assert made("binary", data, metric="accuracy").chance(data) == pytest.approx(200 / 3)


def test_labels_of_several_kinds_are_averaged() -> None:
    data = values([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    output = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # the first label in order, the second not
    assert score(made("multi-label", data), (output, target))[0] == pytest.approx(75)
    assert made("multi-label", data).chance(data) == 50


def test_mean_iou_is_over_the_classes_that_occur() -> None:
    data = classes([0, 0, 0, 1], of=3)
    objective = made("segmentation", data)
    target = torch.tensor([[[0, 0], [1, IGNORED]]])
    predicted = torch.tensor([[[0, 1], [1, 2]]])
    output = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    # Class 0: 1 of 2. Class 1: 1 of 2. Class 2 is predicted only at the ignored pixel, so it does not occur.
    assert score(objective, (output, target))[0] == pytest.approx(50)
    # Always class 0: IoU 3/4 and 0.
    assert objective.chance(data) == pytest.approx(37.5)
    with pytest.raises(UserError, match=r"logits of shape \(N, 3, 2, 2\)"):
        objective.scored(output.movedim(1, -1), target)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("classification", values([[1.0]]), "the targets are values"),
        ("classification", classes([0, 0], of=1), "only one class"),
        ("regression", classes([0, 1], of=2), "the targets are 2 classes"),
        ("binary", classes([0, 1, 2], of=3), "3 classes, but Binary needs two"),
        ("picture", values([[1.0]], scale=(2.0,)), "standardized"),
        ("multi-label", classes([0, 1], of=2), "needs 0/1 values"),
    ],
)
def test_data_that_does_not_fit_is_refused(name: str, data: Data, said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(name, data)


@pytest.mark.parametrize(
    ("name", "data", "split", "said"),
    [
        (
            "classification",
            classes([0, 1], of=2),
            classes([0, 2], of=2),
            r"test split: a target is 2[\s\S]*0 to 1",
        ),
        ("next-token", classes([0, 1], of=2), classes([0, -1], of=2), "a target is -1"),
        ("regression", values([[1.0]]), values([[1.0], [math.nan]]), r"a target is nan[\s\S]*finite numbers"),
        ("node-classification", classes([0, 1], of=2), classes([IGNORED, IGNORED], of=2), "no sample has a target"),
        ("binary", classes([0, 1], of=2), classes([1, 1], of=2), "label 0 is 1 for all samples"),
        ("multi-label", values([[0.0, 1.0]]), values([[0.0, 1.0], [1.0, 1.0]]), "label 1 is 1 for all samples"),
    ],
)
def test_a_split_that_cannot_be_scored_is_refused(name: str, data: Data, split: Data, said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(name, data).check_split(split.train, "test")


def test_a_training_split_with_one_target_for_all_is_refused() -> None:
    one_class, one_value = classes([1, 1], [1], of=2), values([[2.5], [2.5]])
    for name, data in (("classification", one_class), ("regression", one_value)):
        with pytest.raises(UserError, match=r"every target is (1|2\.5), so there is nothing to learn"):
            made(name, data).check_split(data.train, "train")
        made(name, data).check_split(data.train, "test")


def test_the_sums_give_scikit_learns_metrics() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(60, 2, generator=generator)
    output = target + 0.5 * torch.randn(60, 2, generator=generator)
    batches = [(output[:40], target[:40]), (output[40:], target[40:])]
    data = values(target.tolist())
    found = {metric: score(made("regression", data, metric=metric), *batches)[0] for metric in ("rmse", "r2")}
    assert found["rmse"] == pytest.approx(metrics.mean_squared_error(target, output) ** 0.5, rel=1e-6)
    assert found["r2"] == pytest.approx(metrics.r2_score(target, output, multioutput="variance_weighted"), rel=1e-6)
    classes_of = torch.randint(3, (6, 5, 5), generator=generator)
    predicted = classes_of.where(torch.rand(6, 5, 5, generator=generator) < 0.7, 0)
    pixels = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    halves = [(pixels[:4], classes_of[:4]), (pixels[4:], classes_of[4:])]
    iou, error = score(made("segmentation", classes([0, 1, 2], of=3)), *halves)
    expected = metrics.jaccard_score(classes_of.flatten(), predicted.flatten(), average="macro")
    assert iou == pytest.approx(100 * expected) and 0 < error < 10
    labels = (torch.rand(60, 2, generator=generator) < 0.4).float()
    ranked = [(output[:40], labels[:40]), (output[40:], labels[40:])]
    auc = score(made("multi-label", values(labels.tolist()), metric="roc_auc"), *ranked)[0]
    assert auc == pytest.approx(100 * metrics.roc_auc_score(labels, output, average="macro"))
