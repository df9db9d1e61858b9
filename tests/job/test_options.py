"""Each training option: BP through the harness ends with the weights of a plain PyTorch loop, bit for bit."""

import math

import pytest
import timm.optim
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from grape_bench import UserError, models
from grape_bench.data import load
from grape_bench.job import run as training
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.streams import stream_seed
from grape_bench.train.loop import Trainer
from tests.job.jobs import job

RATE = 1e-2


def train(spec) -> Trainer:
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, spec.rule, spec.rule_settings)
    trainer.train()
    return trainer


def digits():
    return load("digits", args={}, device=torch.device("cpu"))


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=RATE)


def plain_loop(make=adamw, steps=40, rate=lambda step: 1, accumulate=1, clip=None, smoothing=0.0, after=None):
    """BP in plain PyTorch. `rate(step)` is a factor on the learning rate of a step, counted from 0."""
    data = digits()
    torch.manual_seed(stream_seed(0, "init"))
    model = models.build("mlp", shape=data.shape, classes=data.classes, args={"hidden": [32, 32]})
    optimizer = make(model)
    base = [group["lr"] for group in optimizer.param_groups]
    order = torch.Generator().manual_seed(stream_seed(0, "order"))
    step = 0
    while step < steps:
        batches = list(data.train.batches(64, generator=order))
        for first in range(0, len(batches), accumulate):
            group = batches[first : first + accumulate]
            optimizer.zero_grad()
            for ((x,), _), y in group:
                (F.cross_entropy(model(x), y, label_smoothing=smoothing) / len(group)).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            for settings, lr in zip(optimizer.param_groups, base, strict=True):
                settings["lr"] = lr * rate(step)
            optimizer.step()
            step += 1
            if after:
                after(model, step)
            if step == steps:
                break
    return model


def without_decay_of_vectors(model):
    matrices, vectors = ([p for p in model.parameters() if (p.ndim > 1) == is_matrix] for is_matrix in (True, False))
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=RATE, weight_decay=0.5)


def slow_trunk(model):
    """A tenth of the rate in the first layer, and the second layer frozen."""
    first, second, head = (layer for layer in model.modules() if isinstance(layer, nn.Linear))
    second.requires_grad_(False)
    groups = [{"params": list(first.parameters()), "lr": RATE * 0.1}, {"params": list(head.parameters())}]
    return torch.optim.AdamW(groups, lr=RATE)


def half_cosine(step, warmup=0):
    return (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (40 - warmup)))


OPTIMIZER = {"name": "adamw", "lr": RATE}
CASES = {
    "a budget in steps": ({"epochs": None, "steps": 30}, {"steps": 30}),
    "a budget below an epoch": ({"epochs": None, "steps": 7}, {"steps": 7}),
    "cosine": ({"schedule": "cosine"}, {"rate": half_cosine}),
    "warm-up": ({"schedule": "cosine", "warmup": 5}, {"rate": lambda step: half_cosine(step, 5)}),
    "warm-up alone": ({"warmup": 5}, {"rate": lambda step: min((step + 1) / 5, 1)}),
    "linear": ({"schedule": "linear"}, {"rate": lambda step: 1 - step / 40}),
    "steps of the rate": (
        {"schedule": "step", "schedule_args": {"milestones": [0.25, 0.5], "gamma": 0.3}},
        {"rate": lambda step: 0.3 ** ((step >= 10) + (step >= 20))},
    ),
    "clipping": ({"clip": 0.05}, {"clip": 0.05}),
    "accumulation": ({"accumulate": 3}, {"accumulate": 3, "steps": 14}),
    "accumulation in steps": ({"accumulate": 3, "epochs": None, "steps": 9}, {"accumulate": 3, "steps": 9}),
    "label smoothing": ({"objective_args": {"label_smoothing": 0.1}}, {"smoothing": 0.1}),
    "decay of weights only": (
        {"optimizer": {**OPTIMIZER, "weight_decay": 0.5}, "decay": "weights"},
        {"make": without_decay_of_vectors},
    ),
    "groups": (
        {"groups": {"hidden.*": {"lr_scale": 0.1}, "hidden.1": {"frozen": True}}},
        {"make": slow_trunk},
    ),
    "evaluations within an epoch": ({"evaluate_every": 7}, {}),
    "torch's NAdam": (
        {"optimizer": {"name": "torch:NAdam", "lr": RATE, "args": {"momentum_decay": 0.1}}},
        {"make": lambda model: torch.optim.NAdam(model.parameters(), lr=RATE, momentum_decay=0.1)},
    ),
    "timm's Muon": (
        {"optimizer": {"name": "timm:muon", "lr": RATE, "momentum": 0.9}, "schedule": "linear"},
        {
            "make": lambda model: timm.optim.Muon(model.parameters(), lr=RATE, momentum=0.9),
            "rate": lambda step: 1 - step / 40,
        },
    ),
    "timm's Lion": (
        {"optimizer": {"name": "timm:lion", "lr": 1e-3, "weight_decay": 0.1}},
        {"make": lambda model: timm.optim.Lion(model.parameters(), lr=1e-3, weight_decay=0.1)},
    ),
}


def assert_equal(found, expected):
    for name, value in expected.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name


@pytest.mark.parametrize("case", CASES)
def test_bp_with_the_option_is_a_plain_loop_with_it(case):
    changes, plain = CASES[case]
    expected = plain_loop(**plain)
    assert_equal(train(job(**changes)).network.model, expected)
    if case != "evaluations within an epoch":
        default = plain_loop()
        assert any(map(lambda a, b: not torch.equal(a, b), expected.parameters(), default.parameters())), "no effect"


MINE = """\
import torch

def half(done, steps, power=1):
    return (1 - done / steps / 2) ** power

class Mine(torch.optim.SGD):
    def __init__(self, groups, lr, factor=1.0):
        super().__init__(groups, lr=lr * factor)
"""


def test_bp_with_an_optimizer_and_a_schedule_from_a_file_is_a_plain_loop_with_them(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    spec = job(
        optimizer={"name": f"{tmp_path}/mine.py:Mine", "lr": 0.1, "args": {"factor": 2.0}},
        schedule=f"{tmp_path}/mine.py:half",
        schedule_args={"power": 2},
    )
    expected = plain_loop(
        make=lambda model: torch.optim.SGD(model.parameters(), lr=0.2), rate=lambda step: (1 - step / 40 / 2) ** 2
    )
    assert_equal(train(spec).network.model, expected)


def scores(model):
    """Validation and test accuracy in percent."""
    data = digits()
    found = []
    for split in (data.validation, data.test):
        hits = [(model(x).argmax(1) == y).double() for ((x,), _), y in split.batches(64)]
        found.append(100 * torch.cat(hits).mean().item())
    return found


def test_bp_with_a_weight_average_is_a_plain_loop_with_one():
    averages = []

    def after(model, step):
        if not averages:
            averages.append(AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)))
        averages[0].update_parameters(model)

    expected = plain_loop(after=after)
    trainer = train(job(ema=0.9))
    assert_equal(trainer.network.model, expected)
    with trainer.scored_weights():
        assert_equal(trainer.network.model, averages[0].module)
    assert trainer.rows[-1]["validation_accuracy"] == pytest.approx(scores(averages[0].module)[0])
    assert scores(expected) != scores(averages[0].module), "the average is another network"


def test_the_best_weights_of_bp_are_those_of_a_plain_loop():
    """At this rate the score goes up and down."""
    found = []
    optimizer = {"name": "adamw", "lr": 0.3}

    def after(model, step):
        if step % 5 == 0:
            found.append(scores(model))

    plain_loop(make=lambda model: torch.optim.AdamW(model.parameters(), lr=0.3), after=after)
    best = max(found, key=lambda pair: pair[0])
    assert best != found[-1], "the last weights are not the best"
    for select, expected in (("best", best), ("last", found[-1])):
        spec = job(optimizer=optimizer, select=select, evaluate_every=5, probes=0)
        result = training.run(spec, lambda row: None)["result"]
        assert [result["validation"], result["test"]] == pytest.approx(expected)


def test_the_best_weights_with_an_average_are_an_average():
    rows = []
    spec = job(optimizer={"name": "adamw", "lr": 0.3}, ema=0.5, select="best", evaluate_every=5, probes=0)
    result = training.run(spec, rows.append)["result"]
    assert result["validation"] == max(row["validation_accuracy"] for row in rows)
    tested = []

    def after(model, step, averages=[]):  # noqa: B006
        if not averages:
            averages.append(AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5)))
        averages[0].update_parameters(model)
        if step % 5 == 0:
            tested.append(scores(averages[0].module))

    plain_loop(make=lambda model: torch.optim.AdamW(model.parameters(), lr=0.3), after=after)
    assert result["test"] == pytest.approx(max(tested, key=lambda pair: pair[0])[1])


def moments(spec):
    rows = []
    found = training.run(spec, rows.append)
    return [(row.get("step"), row["epoch"], row["samples"]) for row in rows], found


def test_a_budget_in_steps_ends_within_an_epoch_and_is_evaluated_there():
    rows, found = moments(job(epochs=None, steps=30, probes=0))
    assert rows == [(20, 1, 1280), (30, 1.5, 1920)]
    assert found["time"]["steps"] == found["credit"]["steps"] == 30 and found["time"]["samples"] == 1920


def test_evaluations_count_steps_across_epochs_and_the_last_one_is_at_the_end():
    rows, found = moments(job(evaluate_every=15, probes=0))
    assert rows == [(15, 0.75, 960), (30, 1.5, 1920), (40, 2, 2560)] and found["time"]["steps"] == 40


def test_a_step_counts_as_one_with_accumulation_and_the_rule_counts_each_of_its_batches():
    rows, found = moments(job("dfa+anchor", accumulate=3, probes=0))
    assert rows == [(None, 1, 1280), (None, 2, 2560)]
    assert found["time"]["steps"] == 14 and found["credit"]["steps"] == found["credit"]["backward_passes"] == 40
    assert found["credit"]["hidden_block_passes"] == 4, "two epochs, one anchor each, two hidden blocks"
    assert found["credit"]["bp_fraction"] == found["credit"]["declared_bp_fraction"] == pytest.approx(2 / 40)


MONO = "mono-forward"


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "head-only", MONO])
def test_an_accumulated_gradient_is_the_mean_of_those_of_its_batches(rule):
    """Also for the parameters that a rule owns, whose loss is the rule's own."""
    spec = job(rule, accumulate=2, optimizer={"name": "sgd", "lr": 0.1})
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, rule, {})
    batches = data.train.batches(64, generator=trainer.order)
    first, second = next(batches), next(batches)

    def gradients(run):
        run()
        return {p: p.grad.clone() for p in trainer.network.parameters() if p.grad is not None}

    alone = [gradients(lambda batch=batch: trainer.backward(trainer.forward(*batch))) for batch in (first, second)]
    together = gradients(lambda: trainer.step(*first, second))
    assert together.keys() == alone[0].keys() and (rule != MONO or trainer.network.owned)
    for parameter, gradient in together.items():
        torch.testing.assert_close(gradient, (alone[0][parameter] + alone[1][parameter]) / 2)


def test_parameters_of_a_rule_keep_their_groups_and_are_clipped_on_their_own():
    """A rule's parameters with huge gradients shorten only their own step."""
    spec = job(MONO, groups={"head": {"lr_scale": 0.5}}, clip=1e-3, optimizer={"name": "sgd", "lr": 0.1})
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, MONO, {"projection_lr": 0.7})
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [0.1, 0.05, 0.7]
    trainer.step(*next(data.train.batches(64, generator=trainer.order)))
    for parameters in (trainer.network.model.parameters(), trainer.network.owned.parameters()):
        norm = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_anchors_fall_into_the_part_of_an_epoch_that_a_budget_in_steps_leaves():
    for seed in range(3):
        credit = training.run(job("dfa+anchor", epochs=None, steps=23, seed=seed, probes=0), lambda row: None)["credit"]
        assert credit["hidden_block_passes"] == 4, "an anchor in each of both epochs"
        assert credit["bp_fraction"] == pytest.approx(credit["declared_bp_fraction"]) == pytest.approx(2 / 23)
        assert credit["anchor_share"] == pytest.approx(2 / 23)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": {"name": "torch:Adm", "lr": 1.0}},
            "optimizer of torch.optim 'Adm'; did you mean 'Adam'",
        ),
        ({"optimizer": {"name": "timm:mun", "lr": 1.0}}, "unknown optimizer of timm 'mun'; did you mean 'muon'"),
        ({"optimizer": {**OPTIMIZER, "args": {"momentun": 1}}}, "'adamw' does not accept its settings"),
        ({"schedule": "step", "schedule_args": {"gama": 1}}, "schedule 'step' does not accept its settings"),
        ({"schedule": "cosine", "warmup": 40}, "warmup = 40, but the training has 40 steps"),
        ({"groups": {"layers.*": {"frozen": True}}}, "no parameter matches 'layers"),
        ({"groups": {"*": {"frozen": True}}}, "every parameter of the model is frozen"),
    ],
)
def test_a_wrong_option_is_found_before_training(changes, message):
    with pytest.raises(UserError, match=message):
        training.check(job(**changes))
