"""A rule in Lightning trains as in a plain loop, and resumes bit for bit."""

import csv
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb

pytest.importorskip("lightning")
import lightning
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from grape_bench.callbacks.lightning import AlignmentCallback, RuleCallback
from tests.network.problems import tanh_mlp

X, Y = torch.randn(24, 6, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 4
STEPS = 6  # per epoch, of 4 samples

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning warns of few workers, of no validation, ...


class Classifier(lightning.LightningModule):
    def __init__(self, rule: str | gb.LearningRule | None, seed: int = 0):
        super().__init__()
        torch.manual_seed(0)
        self.model = tanh_mlp()
        self.net = gb.attach(self.model, rule, X[:2], seed=seed) if rule else None
        self.exact: list[int] = []
        self.before = 0

    def training_step(self, batch):
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.net.counts.hidden > self.before:
            self.exact.append(self.net.counts.steps - 1)
        self.before = self.net.counts.hidden

    def configure_optimizers(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)


class Loader(torch.utils.data.DataLoader):
    """A loader with a fixed order and a position, so that an epoch can resume in its middle."""

    done = skip = 0

    def __iter__(self):
        skip, self.skip = self.skip, 0
        for self.done, batch in enumerate(super().__iter__(), 1):
            if self.done > skip:
                yield batch

    def state_dict(self):
        return {"done": self.done % len(self)}

    def load_state_dict(self, state):
        self.skip = state["done"]


def fit(module: Classifier, folder, callbacks=(), ckpt_path=None, **settings) -> lightning.Trainer:
    settings = {"max_epochs": 3, "logger": False, "enable_checkpointing": False, **settings}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        accelerator="cpu", default_root_dir=folder, callbacks=[RuleCallback(), *callbacks], **quiet, **settings
    )
    trainer.fit(module, Loader(torch.utils.data.TensorDataset(X, Y), batch_size=4), ckpt_path=ckpt_path)
    return trainer


def equal(net: gb.Network, other: gb.Network) -> bool:
    return all(map(torch.equal, net.model.state_dict().values(), other.model.state_dict().values()))


@pytest.mark.parametrize("rule", ["dfa", "grape+anchor"])
def test_it_trains_as_a_loop_of_ones_own(rule, tmp_path):
    module, other = Classifier(rule), Classifier(rule)
    fit(module, tmp_path)
    optimizer = other.configure_optimizers()
    for _ in range(3):
        other.net.begin_epoch(STEPS)
        for start in range(0, 24, 4):
            optimizer.zero_grad()
            other.training_step((X[start : start + 4], Y[start : start + 4])).backward()
            optimizer.step()
    assert equal(module.net, other.net)
    assert module.net.bp_fraction == other.net.bp_fraction == (1 / STEPS if "anchor" in rule else 0)


@pytest.mark.parametrize("saved", [3, STEPS, STEPS + 1], ids=["mid-epoch", "end of an epoch", "second epoch"])
@pytest.mark.parametrize("rule", ["dfa+finish", "grape+anchor", "kp"])
def test_a_resumed_training_ends_as_an_uninterrupted_one(rule, saved, tmp_path):
    whole, cut, resumed = Classifier(rule), Classifier(rule), Classifier(rule, seed=5)
    fit(whole, tmp_path)
    checkpoints = ModelCheckpoint(tmp_path, filename="last", every_n_train_steps=saved, save_top_k=-1)
    fit(cut, tmp_path, [checkpoints, Stop(saved)], enable_checkpointing=True)
    assert cut.net.counts.steps == saved
    fit(resumed, tmp_path, ckpt_path=tmp_path / "last.ckpt")
    assert equal(whole.net, resumed.net) and whole.net.counts == resumed.net.counts


class Stop(lightning.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = trainer.global_step == self.step


def test_a_checkpoint_holds_each_tensor_once(tmp_path):
    class Wide(Classifier):
        def configure_model(self):
            self.model.register_buffer("table", torch.zeros(100_000))

    trainer = fit(Wide("dfa"), tmp_path, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    saved = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert len(saved["state_dict"]["model.table"]) == len(saved["grape_bench"][0]["model"]["table"]) == 100_000
    assert 400_000 < (tmp_path / "one.ckpt").stat().st_size < 500_000


def test_anchors_are_the_steps_that_the_rule_draws(tmp_path):
    module = Classifier(gb.Anchored(gb.make_rule("dfa"), every_epochs=2, batches=2))
    fit(module, tmp_path)
    assert [sum(step // STEPS == epoch for step in module.exact) for epoch in range(3)] == [2, 0, 2]


def test_a_finish_knows_the_length_with_accumulated_gradients(tmp_path):
    module = Classifier("dfa+finish")
    fit(module, tmp_path, accumulate_grad_batches=4, max_steps=5)
    assert module.net.planned_steps == 4 + 2 + 4 + 2 + 4 == module.net.counts.steps
    assert module.exact == [14, 15], "the last tenth of 16 mini-batches"


class Scaled(gb.DirectFeedback):
    """Notes the factor of the loss."""

    def __init__(self):
        self.seen = []

    def signal(self, block, error):
        self.seen.append(block.loss_scale)
        return self.project(error, block)


def test_the_rule_knows_the_factor_of_the_loss(tmp_path):
    module = Classifier(Scaled())
    fit(module, tmp_path, accumulate_grad_batches=4, max_epochs=1)
    assert set(module.net.rule.seen) == {1 / 4} and module.net.loss_scale == 1, "Lightning divides by 4 in the end, too"


def test_parameters_of_the_rule_must_be_in_the_optimizer(tmp_path):
    class Owning(gb.DirectFeedback):
        def setup(self, network):
            super().setup(network)
            network.blocks[0].own(nn.Linear(4, 5))

    with pytest.raises(gb.UserError, match=r"does not train: 1/own\.weight and 1 more") as refused:
        fit(Classifier(Owning()), tmp_path)
    assert "net.parameter_groups()" in refused.value.hint


def test_a_model_without_a_rule_is_refused(tmp_path):
    with pytest.raises(gb.UserError, match="Classifier has no learning rule"):
        fit(Classifier(None), tmp_path)


def test_a_checkpoint_without_the_rule_is_refused(tmp_path):
    module = Classifier("dfa")
    trainer = fit(module, tmp_path)
    trainer.callbacks.remove(next(c for c in trainer.callbacks if isinstance(c, RuleCallback)))
    trainer.save_checkpoint(tmp_path / "bare.ckpt")
    with pytest.raises(gb.UserError, match="no state of the rule"):
        fit(Classifier("dfa"), tmp_path, ckpt_path=tmp_path / "bare.ckpt")


def test_alignment_is_logged_every_second_epoch_and_changes_nothing(tmp_path):
    module, other = Classifier("grape+anchor"), Classifier("grape+anchor")
    logger = CSVLogger(tmp_path)
    fit(module, tmp_path, [AlignmentCallback([(X[:8], Y[:8])], F.cross_entropy, every=2)], logger=logger, max_epochs=4)
    fit(other, tmp_path, max_epochs=4)
    assert equal(module.net, other.net)
    rows = list(csv.DictReader(Path(logger.experiment.metrics_file_path).read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "3"], "Lightning counts from 0"
    names = [f"alignment/{block.name}" for block in module.net.blocks]
    assert all(-1 <= float(row[name]) <= 1 for row in rows for name in names)
