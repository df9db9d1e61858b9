import pytest
import torch
import torch.nn.functional as F

import grape_bench as gb
from grape_bench import UserError, models
from grape_bench.data import load
from grape_bench.job import run as training
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.streams import stream_seed
from grape_bench.train.loop import Trainer
from tests.job.jobs import job


def nothing(row):
    pass


def train(spec) -> Trainer:
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, spec.rule, spec.rule_settings)
    torch.manual_seed(stream_seed(spec.seed, "dropout"))
    trainer.train()
    return trainer


def plain_loop(seed=0):
    """BP in fifteen lines of PyTorch."""
    data = load("digits", args={"resize": 16}, device=torch.device("cpu"))
    torch.manual_seed(stream_seed(seed, "init"))
    model = models.build("timm:test_vit", shape=data.shape, classes=data.classes, args={"proj_drop_rate": 0.1})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    order = torch.Generator().manual_seed(stream_seed(seed, "order"))
    torch.manual_seed(stream_seed(seed, "dropout"))
    model.train()
    for _ in range(2):
        for ((x,), _), y in data.train.batches(64, generator=order):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


def test_bp_through_the_harness_ends_with_the_weights_of_a_plain_loop_to_the_bit():
    """With dropout, so that the random state counts too."""
    spec = job(model="timm:test_vit", model_args={"proj_drop_rate": 0.1}, dataset_args={"resize": 16})
    found = train(spec).network.model.state_dict()
    for name, value in plain_loop().state_dict().items():
        assert torch.equal(value, found[name]), name


def test_rules_with_one_seed_start_from_the_same_weights_and_see_the_same_batches(monkeypatch):
    seen = {}
    original = Trainer.step
    for rule in ("bp", "fa", "dfa", "grape+anchor", "head-only"):
        spec = job(rule, dataset_args={"augment": "flip-crop"}, epochs=1)
        seen[rule] = []

        def step(self, batch, target, log=seen[rule]):
            if not log:
                log.extend(p.detach().clone() for p in self.network.model.parameters())
            log.append(batch[0][0].clone())
            return original(self, batch, target)

        monkeypatch.setattr(Trainer, "step", step)
        train(spec)
    for rule, log in seen.items():
        assert len(log) == len(seen["bp"]) and all(map(torch.equal, log, seen["bp"])), rule


def test_seeds_differ_and_repeat():
    def weights(seed):
        return next(train(job(seed=seed, epochs=1)).network.model.parameters())

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


def test_a_record_says_what_was_measured():
    rows = []
    found = training.run(job("dfa+anchor", profile=True), rows.append)
    assert found["status"] == "finished" and found["metric"]["chance"] == 10
    assert [row["samples"] for row in rows] == [1280, 2560] and rows[1]["seconds"] > rows[0]["seconds"] > 0
    assert found["result"]["test"] > 60 and found["result"]["validation"] == rows[-1]["validation_accuracy"]
    assert found["time"]["steps"] == found["credit"]["backward_passes"] == 40
    assert found["credit"]["hidden_block_passes"] == 4, "two epochs, one anchor each, two hidden blocks"
    assert found["credit"]["bp_fraction"] == pytest.approx(1 / 20)
    assert found["credit"]["declared_bp_fraction"] == pytest.approx(1 / 20)
    assert [block["shape"] for block in found["network"]["blocks"]] == [[32], [32]]
    assert found["network"]["blocks"][0]["feedback"] == {"kind": "dense", "shape": (10, 32), "numbers": 320}
    assert found["network"]["parameters"] == {"rule": 4, "exact": 2, "frozen": 0}
    profile = found["profile"]
    assert 0 < profile["low"] <= profile["step_ratio"] <= profile["high"] and profile["rounds"] >= 5
    assert all(profile["split"][phase] > 0 for phase in ("data", "forward", "credit", "update"))
    assert profile["holders"]["gradients"] == profile["holders"]["weights"] > profile["holders"]["feedback"] > 0
    assert profile["speedup"] == profile["flops"]["bp"] / profile["flops"]["critical"] > 1
    assert profile["pipeline"]["2"]["speedup"] > profile["pipeline"]["2"]["bp_speedup"]
    assert (profile["energy"] is None) == (not torch.cuda.is_available())


def test_backpropagation_is_profiled_beside_itself():
    profile = training.run(job("bp", profile=True, epochs=1), nothing)["profile"]
    assert profile["step_ratio"] == profile["speedup"] == 1
    assert profile["pipeline"]["2"]["speedup"] == profile["pipeline"]["2"]["bp_speedup"]


def test_measuring_step_time_does_not_change_the_result():
    plain, profiled = (training.run(job("grape", profile=profile), nothing) for profile in (False, True))
    assert plain["result"] == profiled["result"] and plain["profile"] is None


def test_a_loss_that_is_not_finite_is_a_result_with_its_place():
    found = training.run(job(optimizer={"name": "sgd", "lr": 1e30}), nothing)
    assert found["status"] == "diverged" and found["result"] is None and found["profile"] is None
    assert "at step" in found["reason"] and "of epoch 1" in found["reason"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "timm:resnet999"}, "resnet999"),
        ({"optimizer": {"name": "adamm"}}, "did you mean 'adam' or 'adamw'"),
        ({"optimizer": {"name": "sgd", "beta": 1}}, "does not accept its settings"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"rule": "grape", "rule_settings": {"perturbation": 2}}, "did you mean 'perturbations'"),
        ({"model": "timm:vit_tiny_patch16_224", "model_args": {"img_size": 8}}, "timm:vit_tiny_patch16_224"),
    ],
)
def test_mistakes_are_found_before_training(changes, message):
    with pytest.raises(UserError, match=message):
        training.check(job(**changes))


def test_an_output_that_cannot_be_scored_is_refused(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\ndef net(shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))\n"
    )
    with pytest.raises(UserError, match=r"cannot be scored: a tensor of shape \(4, 9\)"):
        training.check(job(model=f"{path}:net", model_args={}))


def test_a_rule_of_the_users_trains_beside_the_others(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import grape_bench as gb\nclass Mine(gb.DirectFeedback):\n    pass\n")
    mine, dfa = (training.run(job(rule), nothing) for rule in (f"{path}:Mine", "dfa"))
    assert mine["result"] == dfa["result"]


def test_a_job_cuts_where_its_suite_says():
    """Blocks and granularity reach the network; without them the search finds both hidden layers."""

    def blocks(**changes):
        this = job("dfa", **changes)
        data = load_data(this, pick_device())
        trainer = make_trainer(this, build_model(this, data, pick_device()), data, this.rule, this.rule_settings)
        return [block.name for block in trainer.network.blocks]

    found = blocks()
    assert len(found) == 2 and blocks(blocks=found[:1]) == found[:1]
    vit = {"model": "timm:test_vit", "model_args": {}, "dataset_args": {"resize": 16}}
    assert len(blocks(granularity="layer", **vit)) > len(blocks(**vit))
    with pytest.raises(UserError, match="matches no module that can be cut"):
        training.check(job("dfa", blocks=["nowhere.*"]))


def test_a_job_cuts_between_the_calls_of_a_module_where_its_suite_says(tmp_path):
    path = tmp_path / "loop.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\n\nclass Loop(nn.Module):\n"
        "    def __init__(self, shape, classes):\n        super().__init__()\n"
        "        self.cell, self.head = nn.GRUCell(torch.Size(shape).numel(), 6), nn.Linear(6, classes)\n\n"
        "    def forward(self, x):\n        h = self.cell(x.flatten(1))\n"
        "        return self.head(self.cell(x.flatten(1), h))\n"
    )

    def blocks(**changes):
        this = job("dfa", model=f"{path}:Loop", model_args={}, **changes)
        data = load_data(this, pick_device())
        trainer = make_trainer(this, build_model(this, data, pick_device()), data, this.rule, this.rule_settings)
        return [block.name for block in trainer.network.blocks]

    assert blocks() == ["cell"]
    assert blocks(cuts="time") == ["cell[0]", "cell[1]"]


def test_public_names_are_all_there():
    assert all(getattr(gb, name) for name in gb.__all__)
