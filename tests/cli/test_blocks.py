from click.testing import CliRunner

from grape_bench.cli.main import cli


def blocks(*arguments: str):
    return CliRunner().invoke(cli, ["blocks", *arguments])


def test_it_shows_the_cuts_and_what_parameters_get():
    result = blocks("mlp", "--shape", "12", "--model-arg", "hidden=[8, 6]", "--parameters")
    assert result.exit_code == 0, result.output
    assert "hidden.1" in result.output and "dense 10 × 6" in result.output
    assert "4 parameters get what dfa sends" in result.output and "head.weight" in result.output


def test_finer_cuts_and_cuts_by_name():
    vit = ("timm:vit_tiny_patch16_224", "--model-arg", "depth=2", "--shape", "3,32,32")
    assert "blocks.0.mlp.fc1" in blocks(*vit, "--granularity", "layer").output
    assert "blocks.1" not in blocks(*vit, "--blocks", "blocks.0").output


def test_a_model_that_cannot_be_cut_says_how_to_name_its_blocks(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("from torch import nn\ndef net(shape, classes): return nn.Linear(shape[0], classes)\n")
    result = blocks(f"{path}:net", "--shape", "8")
    assert result.exit_code == 2
    assert "no repeated modules" in result.output and "blocks=['layers.*']" in result.output
