"""The table of peers, with stand-ins that have the interfaces of the other projects."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from torch import nn

from benchmarks import peers
from grape_bench.models.mlp import MLP

BIOTORCH = """
    from torch import nn
    from torch.autograd import grad

    class BioModule(nn.Module):
        def __init__(self, module, mode="fa", copy_weights=True, layer_config=None, output_dim=None):
            super().__init__()
            self.module, self.mode = module, mode

        def forward(self, x, targets=None, loss_function=None):
            output = self.module(x)
            if self.mode == "dfa" and self.training:
                grad(loss_function(output, targets), output, retain_graph=True)
            return output
"""

TINYDFA = """
    from enum import Enum
    from torch import nn

    FeedbackPointsHandling = Enum("FeedbackPointsHandling", ["LAST"])

    class DFALayer(nn.Module):
        def forward(self, x):
            self.feedback_points = x
            return x.detach().requires_grad_()

    class DFA(nn.Module):
        def __init__(self, dfa_layers, feedback_points_handling=None):
            super().__init__()
            self.dfa_layers, self.initialized = dfa_layers, False

        def forward(self, x):
            if not self.initialized:
                print(x.shape)
            self.initialized = True
            return x
"""

HIDDEN = """
    import torch
    from torch import nn

    class DFATrainingHook(nn.Module):
        def __init__(self, train_mode, device):
            super().__init__()
            self.feedbacks = nn.Parameter(torch.zeros(1))

        def forward(self, x, derivative, error):
            assert derivative.shape == error.shape
            return x.clone()
"""

OUTPUT = """
    from torch import nn

    class OutputTrainingHook(nn.Module):
        def __init__(self, train_mode):
            super().__init__()

        def forward(self, x, derivative, error):
            return x.clone()
"""

FILES = {
    "biotorch/module/biomodule.py": BIOTORCH,
    "tinydfa/__init__.py": TINYDFA,
    "utils/DFATrainingHook.py": HIDDEN,
    "utils/OutputTrainingHook.py": OUTPUT,
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all stand-ins, and a network on which steps are fast."""
    for name, code in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(code))
    for name in [one for one in sys.modules if one.partition(".")[0] in ("biotorch", "tinydfa", "utils")]:
        monkeypatch.delitem(sys.modules, name)

    def small() -> nn.Module:
        return MLP((6,), peers.CLASSES, hidden=(8, 8))

    monkeypatch.setattr(peers, "NETS", {"small": peers.Net(small, (16, 6))})
    return tmp_path


def rows(text: str) -> dict[str, str]:
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[-1] for row in cells[2:]}


def test_every_project_has_a_row(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--{name}={checkout}" for name in ("biotorch", "tinydfa", "fdfa")]
    peers.main([*options, "--rounds", "1", "--nets", "small"])
    printed = capsys.readouterr().out
    found = rows(printed)
    assert list(found) == [*peers.OURS, "BioTorch DFA", "BioTorch FA", "TinyDFA", "FDFA"]
    assert all(float(cell) > 0 for cell in found.values())
    assert "left out" not in printed and "torch.Size" not in printed


def test_a_missing_project_costs_a_line(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "tinydfa" / "__init__.py").write_text("raise ImportError('needs numpy 1')\n")
    peers.main([f"--tinydfa={checkout}", f"--fdfa={checkout / 'nowhere'}", "--rounds", "1", "--nets", "small"])
    printed = capsys.readouterr().out
    assert "biotorch: left out, as --biotorch PATH is not given\n" in printed
    assert "TinyDFA: left out (ImportError: needs numpy 1)\n" in printed
    assert "FDFA: left out (ModuleNotFoundError: " in printed
    assert list(rows(printed)) == list(peers.OURS)


def test_the_networks_have_blocks() -> None:
    subject = peers.Subject.of(peers.NETS["LeNet"])
    model, cut = subject.copied()
    assert cut and all(module in list(model.modules()) for module in cut)
