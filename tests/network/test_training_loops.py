"""The code of docs/training-loops.md, run as it is printed, and data-parallel training."""

import re
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import grape_bench as gb
from grape_bench.attachment import attached
from tests.network.problems import tanh_mlp

PAGE = Path(__file__).parents[2] / "docs" / "training-loops.md"
CODE = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE))


TRAINERS = [
    ("Hugging Face Trainer", "model"),
    ("Lightning", "trainer.model.model"),
    ("Rules that need the loss or the target", "trainer.model.model"),
]


@pytest.mark.parametrize("rule", ["", "dfa"], ids=["as printed", "dfa"])
@pytest.mark.parametrize(("title", "model"), TRAINERS)
def test_trainers_train_with_a_rule_in_a_line(title, model, rule, tmp_path, monkeypatch):
    pytest.importorskip("accelerate" if "Trainer" in title else "lightning")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(re.sub(r'(attach\([\w.]+, )"[\w+]+"', rf'\1"{rule}"' if rule else r"\g<0>", CODE[title]), names)
    net = attached(eval(model, names))
    assert net.counts.steps == (4 if "loss" in title else 8)
    if rule == "dfa" or "loss" not in title:
        assert net.bp_fraction == (0 if rule else 0.25), "one anchor in each of two epochs of four steps"


@pytest.mark.parametrize("title", ["A plain loop with anchors", "Less memory: block by block"])
def test_the_other_loops_run_as_printed(title):
    names: dict = {}
    exec(CODE[title], names)
    assert names["net"].bp_fraction == (0.1 if "anchors" in title else 0)


def test_every_block_of_the_page_is_run():
    assert PAGE.read_text().count("```python") == len(TRAINERS) + 2 == len(CODE)


def _process(rank: int, rule: str, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    model, x = tanh_mlp(), torch.randn(8, 6)
    gb.attach(model, rule, x, seed=1)
    parallel = DistributedDataParallel(model)
    loss_half(parallel, x, rank).backward()
    torch.save((model.state_dict(), {n: p.grad for n, p in model.named_parameters()}), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def loss_half(model, x, rank):
    """Per-sample weights, so that the mean over processes is the loss of the joint batch."""
    weights = torch.linspace(-1, 1, 4)
    return (model(x[4 * rank : 4 * rank + 4]).log_softmax(-1) * weights).sum() / 4


@pytest.mark.parametrize("rule", ["dfa", pytest.param("grape", marks=pytest.mark.slow)])
def test_two_processes_give_the_gradients_of_one_on_the_joint_batch(rule, tmp_path):
    mp.start_processes(_process, (rule, str(tmp_path)), nprocs=2, start_method="forkserver")
    (state, found), (other_state, other) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(found[name], other[name]) for name in found)
    assert all(torch.equal(state[name], other_state[name]) for name in state), "the feedback is the same everywhere"
    torch.manual_seed(0)
    model, x = tanh_mlp(), torch.randn(8, 6)
    gb.attach(model, "dfa" if rule == "grape" else rule, x, seed=1)
    model.load_state_dict(state)
    (sum(loss_half(model, x, rank) for rank in (0, 1)) / 2).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-5, atol=1e-7)
