"""A rule in Hugging Face's Trainer trains as in a plain loop, and resumes bit for bit."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb

pytest.importorskip("accelerate")
from transformers import Trainer, TrainerCallback, TrainingArguments

from grape_bench.callbacks.hugging_face import AlignmentCallback, RuleCallback

X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
DATA = [{"x": x, "labels": torch.tensor(i % 3)} for i, x in enumerate(X)]
STEPS = 6  # per epoch, of 4 samples


class Classifier(nn.Module):
    _keys_to_ignore_on_save = None  # which the Trainer reads when a checkpoint lacks tensors

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 8), nn.Tanh())
        self.head = nn.Linear(8, 3)

    def forward(self, x, labels=None):
        logits = self.head(self.layers(x))
        return {"loss": None if labels is None else F.cross_entropy(logits, labels), "logits": logits}


class Exact(TrainerCallback):
    """Notes the steps whose hidden gradients are backpropagation's: gradients crossed the cuts."""

    def __init__(self, net):
        self.net, self.before, self.steps = net, 0, []

    def on_step_end(self, args, state, control, **kwargs):
        if self.net.counts.hidden > self.before:
            self.steps.append(state.global_step - 1)
        self.before = self.net.counts.hidden


def attached(rule: str | gb.LearningRule, seed: int = 0) -> gb.Network:
    torch.manual_seed(0)
    return gb.attach(Classifier(), rule, {"x": X[:2]}, seed=seed)


def trainer(net: gb.Network, folder, callbacks=(), optimizers=(None, None), data=DATA, **settings) -> Trainer:
    settings = {"num_train_epochs": 3, "save_strategy": "no", "report_to": [], "disable_tqdm": True, **settings}
    arguments = TrainingArguments(str(folder), per_device_train_batch_size=4, use_cpu=True, **settings)
    callbacks = [RuleCallback(), *callbacks]
    return Trainer(net.model, arguments, train_dataset=data, callbacks=callbacks, optimizers=optimizers)


def equal(net: gb.Network, other: gb.Network) -> bool:
    return all(map(torch.equal, net.model.state_dict().values(), other.model.state_dict().values()))


@pytest.mark.parametrize("rule", ["dfa", "grape+anchor"])
def test_it_trains_as_a_loop_of_ones_own(rule, tmp_path):
    net, other = attached(rule), attached(rule)
    for model in (net.model, other.model):
        model.layers[2].p = 0.0
    order = {"train_sampling_strategy": "sequential", "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
    sgd = torch.optim.SGD(net.model.parameters(), lr=0.1)
    trainer(net, tmp_path, optimizers=(sgd, None), **order).train()
    optimizer = torch.optim.SGD(other.model.parameters(), lr=0.1)
    for _ in range(3):
        other.begin_epoch(STEPS)
        for start in range(0, 24, 4):
            optimizer.zero_grad()
            other.model(X[start : start + 4], torch.arange(start, start + 4) % 3)["loss"].backward()
            optimizer.step()
    assert equal(net, other)
    assert net.bp_fraction == other.bp_fraction == (1 / STEPS if "anchor" in rule else 0)


@pytest.mark.parametrize("saved", [3, STEPS, STEPS + 1], ids=["mid-epoch", "end of an epoch", "second epoch"])
@pytest.mark.parametrize("rule", ["dfa+finish", "grape+anchor", "kp"])
def test_a_resumed_training_ends_as_an_uninterrupted_one(rule, saved, tmp_path):
    whole, cut, resumed = attached(rule), attached(rule), attached(rule, seed=5)
    trainer(whole, tmp_path / "whole").train()
    saving = {"save_strategy": "steps", "save_steps": saved, "save_total_limit": 1}
    trainer(cut, tmp_path / "cut", [Stop(saved)], **saving).train()
    assert cut.counts.steps == saved
    trainer(resumed, tmp_path / "cut").train(resume_from_checkpoint=True)
    assert equal(whole, resumed) and whole.counts == resumed.counts


class Stop(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step


def test_anchors_are_the_steps_that_the_rule_draws(tmp_path):
    net = attached(gb.Anchored(gb.make_rule("dfa"), every_epochs=2, batches=2))
    exact = Exact(net)
    trainer(net, tmp_path, [exact]).train()
    assert [sum(step // STEPS == epoch for step in exact.steps) for epoch in range(3)] == [2, 0, 2]


def test_a_finish_knows_the_length_with_accumulated_gradients(tmp_path):
    net = attached("dfa+finish")
    exact = Exact(net)
    trainer(net, tmp_path, [exact], gradient_accumulation_steps=4, max_steps=5).train()
    assert net.planned_steps == 4 + 2 + 4 + 2 + 4 == net.counts.steps
    assert exact.steps == [4], "the last two mini-batches are in the last update"


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(DATA)


def test_a_stream_is_one_epoch_of_all_steps(tmp_path):
    net = attached(gb.Anchored(gb.make_rule("dfa"), batches=2))
    streaming = trainer(net, tmp_path, data=Stream(), max_steps=5, gradient_accumulation_steps=2)
    streaming.train()
    assert net.planned_steps == 10 == net.counts.steps


class Scaled(gb.DirectFeedback):
    """Notes the factor of the loss."""

    def __init__(self):
        self.seen = []

    def signal(self, block, error):
        self.seen += [block.loss_scale] * (block.name == block.home.blocks[0].name)
        return self.project(error, block)


def test_the_rule_knows_the_factor_of_the_loss(tmp_path):
    net = attached(Scaled())
    trainer(net, tmp_path, gradient_accumulation_steps=4, max_steps=2).train()
    assert net.rule.seen == [1 / 4] * 4 + [1 / 2] * 2 and net.loss_scale == 1


def test_parameters_of_the_rule_must_be_in_the_optimizer_and_their_gradients_are_cleared(tmp_path):
    class Owning(gb.DirectFeedback):
        def setup(self, network):
            super().setup(network)
            network.blocks[0].own(nn.Linear(3, 8, bias=False), lr=0.0)

        def signal(self, block, error):
            if block.name == block.home.blocks[0].name:
                with torch.enable_grad():
                    block.home.blocks[0].owned()(error).sum().backward()
            return self.project(error, block)

    net = attached(Owning())
    with pytest.raises(gb.UserError, match="Owning owns parameters that the optimizer does not train") as refused:
        trainer(net, tmp_path).train()
    assert "net.parameter_groups()" in refused.value.hint
    adamw = torch.optim.AdamW(net.parameter_groups(), lr=1e-3)
    trainer(net, tmp_path, optimizers=(adamw, None)).train()
    assert [p.grad for p in net.owned.parameters()] == [None]


def test_a_model_without_a_rule_is_refused(tmp_path):
    net = attached("dfa")
    net.detach()
    with pytest.raises(gb.UserError, match="Classifier has no learning rule"):
        trainer(net, tmp_path).train()


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 4, "max_steps": 4}
    for folder, rule in (("a", "dfa"), ("b", "dfa"), ("c", "fa")):
        other = attached(rule)
        nn.init.normal_(other.model.head.weight, std=ord(folder))
        trainer(other, tmp_path / folder, **saving).train()
    elsewhere = str(tmp_path / "b" / "checkpoint-4")
    with pytest.raises(gb.UserError, match="this is the rule of another checkpoint") as refused:
        trainer(attached("dfa"), tmp_path / "a").train(resume_from_checkpoint=elsewhere)
    assert "TrainingArguments(resume_from_checkpoint=FOLDER)" in refused.value.hint
    named = trainer(net := attached("dfa"), tmp_path / "a", resume_from_checkpoint=elsewhere)
    named.train(resume_from_checkpoint=elsewhere)
    assert net.counts.steps == 3 * STEPS
    with pytest.raises(gb.UserError, match="it has FA, not GrAPE"):
        trainer(attached("grape"), tmp_path / "c").train(resume_from_checkpoint=True)
    (tmp_path / "a" / "checkpoint-4" / "rule_0.pt").unlink()
    with pytest.raises(gb.UserError, match="no state of the rule"):
        trainer(attached("dfa"), tmp_path / "a").train(resume_from_checkpoint=True)


def test_alignment_is_logged_every_second_epoch_and_changes_nothing(tmp_path):
    net, other = attached("grape+anchor"), attached("grape+anchor")
    watched = trainer(net, tmp_path, logging_strategy="epoch", num_train_epochs=4)
    batches = [({"x": X[:8]}, torch.arange(8) % 3)]
    loss = lambda output, target: F.cross_entropy(output["logits"], target)  # noqa: E731
    watched.add_callback(AlignmentCallback(watched.log, batches, loss, every=2))
    watched.train()
    trainer(other, tmp_path, num_train_epochs=4).train()
    assert equal(net, other)
    history = watched.state.log_history
    lines = [row for row in history if any(name.startswith("alignment/") for name in row)]
    assert [row["epoch"] for row in lines] == [2, 4]
    assert {f"alignment/{block.name}" for block in net.blocks} < lines[0].keys()
    assert all(-1 <= value <= 1 for row in lines for name, value in row.items() if name.startswith("alignment/"))
    assert [row["epoch"] for row in history if "loss" in row] == [1, 2, 3, 4], "the Trainer's own lines are all there"
    assert all(math.isfinite(row["loss"]) for row in history if "loss" in row)
