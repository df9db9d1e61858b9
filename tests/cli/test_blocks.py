import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli

MISTAKES = """
import grape_bench as gb

def model(shape, classes): return 1 / 0

class InSetup(gb.DirectFeedback):
    def setup(self, network):
        1 / 0

class InSignal(gb.DirectFeedback):
    def signal(self, block, error):
        return 1 / 0
"""


def blocks(*arguments: str):
    return CliRunner().invoke(cli, ["blocks", *arguments])


def test_it_shows_the_cuts_and_what_parameters_get():
    result = blocks("mlp", "--shape", "12", "--model-args", "hidden=[8, 6]", "--parameters")
    assert result.exit_code == 0, result.output
    assert "hidden.1" in result.output and "dense 10 × 6" in result.output
    assert "4 × rule: the gradient comes from dfa" in result.output and "frozen" not in result.output
    assert all(name in result.output for name in ("hidden.1.0.weight", "head.weight"))


def test_parameters_that_differ_in_numbers_share_a_row():
    rows = [line.split() for line in blocks("timm:resnet18", "--rule", "head-only").output.splitlines()]
    assert ["layer*.*.conv*.weight", "16", "frozen"] in rows and ["fc.weight", "1", "exact"] in rows
    assert ["layer1.0", "64", "×", "8", "×", "8", "4,096", "after", "it"] in rows


def test_text_models_take_token_ids():
    sizes = "n_layer=2", "n_head=2", "n_embd=16", "vocab_size=50"
    arguments = [argument for size in sizes for argument in ("--model-args", size)]
    result = blocks("hf:gpt2", "--tokens", "12", *arguments)
    assert result.exit_code == 0, result.output
    assert "transformer.h.1   12 × 16       192" in result.output and "10 × 16" in result.output
    refused = blocks("mlp", "--tokens", "12")
    assert refused.exit_code == 2 and "MLP has no vocabulary" in refused.output


def test_finer_cuts_and_cuts_by_name():
    vit = ("timm:vit_tiny_patch16_224", "--model-args", "depth=2", "--shape", "3,32,32")
    assert "blocks.0.mlp.fc1" in blocks(*vit, "--granularity", "layer").output
    assert "blocks.1" not in blocks(*vit, "--blocks", "blocks.0").output


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("mistakes.py:model", "--shape", "4"), "mistakes.py:4"),
        (("mlp", "--shape", "4", "--rule", "mistakes.py:InSetup"), "mistakes.py:8"),
        (("mlp", "--shape", "4", "--rule", "mistakes.py:InSignal"), "mistakes.py:12"),
    ],
)
def test_an_error_of_the_users_own_code_is_one_message(arguments, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    result = blocks(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"error: ZeroDivisionError: division by zero ({where})\n"


def test_an_error_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("grape_bench.cli.blocks.make_subject", len)  # which takes one argument
    assert isinstance(blocks("mlp").exception, TypeError)


def test_a_model_that_cannot_be_cut_says_how_to_name_its_blocks(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("from torch import nn\ndef net(shape, classes): return nn.Linear(shape[0], classes)\n")
    result = blocks(f"{path}:net", "--shape", "8")
    assert result.exit_code == 2
    assert "has one layer with weights" in result.output and "blocks=['layers.*']" in result.output


LOOP = """
from torch import nn

class Loop(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.first_recurrent_layer = nn.GRUCell(shape[0], 16)
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        state, scores = None, 0
        for _ in range(3):
            state = self.first_recurrent_layer(x, state)
            scores = scores + self.head(state)
        return scores
"""


def test_it_says_where_and_how_often_a_block_is_cut_and_fits_a_terminal(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(LOOP)
    layers, calls = (blocks(f"{path}:Loop", "--shape", "8", "--cuts", cuts).output for cuts in ("depth", "time"))
    assert "at the input of" in layers and "head, 3 times" in layers
    assert "times" not in calls and all(f"r[{call}]" in calls for call in range(3))
    for output in (layers, calls):
        assert max(map(len, output.splitlines())) <= 80
