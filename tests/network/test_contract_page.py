"""The code of docs/contract.md, run as it is printed."""

import re
from pathlib import Path

import pytest

import grape_bench as gb

ROOT = Path(__file__).parents[2]
TOUR, RELAXED, STEP = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "contract.md").read_text(), re.DOTALL)[:3]


def test_the_tour_visits_each_stop_once_per_block_and_in_order(capsys):
    names: dict = {}
    exec(TOUR, names)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "setup",
        "open_pass",
        "second_phase",
        "signal",
        "signal",
    ]
    net = names["net"]
    assert all(parameter.grad.any() for name, parameter in net.owned.named_parameters() if "weight" in name)
    assert not net.model[0].weight.grad.any() and net.model[4].weight.grad.any()


def test_a_step_with_the_loss_runs_as_printed(monkeypatch):
    names: dict = {}
    exec(TOUR, names)
    monkeypatch.chdir(ROOT)
    exec(STEP, names)
    expected = names["F"].cross_entropy(names["model"](names["x"]), names["y"])
    assert names["loss"].item() == pytest.approx(expected.item())


def test_a_pass_may_replace_an_activation():
    names: dict = {}
    exec(TOUR, names)
    exec(RELAXED, names)
    net, x = names["net"], names["x"]
    states = {block.key: 0 * x[:, :5] for block in net.blocks}
    output = net.aside(names["Relaxed"](states), ((x,), {}))
    assert output.allclose(net.model[4].bias.expand_as(output)) and isinstance(names["Relaxed"](states), gb.Pass)


def test_the_worked_example_is_the_file_in_examples():
    page = (ROOT / "docs" / "contract.md").read_text()
    (code,) = re.findall(r"```python\n# hebbian_dfa.py\n(.*?)```", page, re.DOTALL)
    assert code == (ROOT / "examples" / "rules" / "hebbian_dfa.py").read_text()
