"""Mistakes in a suite file: what is wrong, where, what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.find import find_suite, suite_files
from grape_bench.plan.overrides import Overrides
from grape_bench.plan.read import read_suite
from tests.plan.suites import write_suite

DFA_TWICE = '["dfa", "bp", "dfa"]'
RULES = '["dfa", "bp", "dfa+anchor"]'


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("epochs = 2", "epochs 2", ["small.toml:11", "epochs 2"]),
        ("epochs = 2", "epochs = 2\nepochs = 3", ["small.toml:12", "duplicate key", "epochs = 3"]),
        ("epochs = 2", "epoch = 2", ["task 'first': ", "unknown key 'epoch'; did you mean 'epochs'"]),
        ("seeds = 2", "sedes = 2", ["unknown key 'sedes'; did you mean 'seeds'"]),
        ("lr = 1e-3", "lr = 1e-3, wd = 1", ["task 'first': optimizer: unknown key 'wd'", "weight_decay"]),
        ("epochs = 2", 'epochs = "2"', ["task 'first': epochs", "must be an integer, not '2'"]),
        ("epochs = 2\n", "", ["task 'first': 'epochs' is missing", "'steps'"]),
        ("epochs = 2", "epochs = 2\nsteps = 5", ["task 'first': give either 'epochs' or 'steps'"]),
        ("epochs = 2", 'schedule = "cosin"\nepochs = 2', ["unknown schedule 'cosin'; did you mean 'cosine'"]),
        ("epochs = 2", 'schedule = "no.py:f"\nepochs = 2', ["task 'first': schedule", "no file 'no.py'"]),
        ("epochs = 2", "groups = { h = { lr = 1 } }\nepochs = 2", ["groups", "unknown key 'lr'"]),
        ("epochs = 2", "ema = 1.0\nepochs = 2", ["ema", "less than 1"]),
        ("seeds = 2", "seeds = -1", ["seeds", "at least 1, not -1"]),
        ("seeds = 2", "seeds = 0", ["seeds", "not 0"]),
        ("seeds = 2", "seeds = true", ["seeds", "not True"]),
        ('version = "1.0"', "version = 1.0", ["version", "not 1.0", 'version = "1.0"']),
        ("lr = 1e-3", "lr = -1", ["optimizer.lr", "greater than 0"]),
        ("lr = 1e-3", "lr = inf", ["optimizer.lr", "finite"]),
        ("lr = 1e-3", "lr = 1e-3, momentum = 0.9", ["momentum is a setting of sgd, not of adamw"]),
        ('"adamw"', '"adamx"', ["unknown optimizer 'adamx'; did you mean", "'adamw'"]),
        (RULES, '["dfaa"]', ["rules", "unknown rule 'dfaa'; did you mean 'dfa'", "grape"]),
        ("epochs = 2", 'epochs = 2\nskip = ["fa"]', ["task 'first': only, skip", "unknown rule of this suite 'fa'"]),
        ("epochs = 2", 'epochs = 2\nskip = ["bp", "dfa", "dfa+anchor"]', ["no rule of the suite runs on this task"]),
        (RULES, '["grape:p4"]', ["the variant 'grape:p4' has no settings", '[rule."grape:p4"]']),
        (RULES, '["grape:"]', ["unknown rule 'grape:'; did you mean 'grape'"]),
        (RULES, DFA_TWICE, ["rule 'dfa' is listed twice"]),
        (RULES, '["nowhere.py:MyRule"]', ["no file 'nowhere.py'"]),
        (RULES, '"dfa"', ["rules", "list"]),
        ('"second"', '"first"', ["task 'first' is listed twice"]),
        ('"second"', '"a/b"', ["'a/b' is not a valid name", "letters"]),
        ('"second"', '"rule"', ["no task can have this name"]),
        ('"mlp"', '"mpl"', ["task 'first': model", "unknown model 'mpl'; did you mean 'mlp'"]),
        ('"mlp"', '"tim:resnet18"', ["task 'first': model", "did you mean 'timm'"]),
        ('dataset = "digits"', 'dataset = "digit"', ["task 'first': dataset", "did you mean 'digits'"]),
        (
            "epochs = 2",
            'granularity = "layers"\nepochs = 2',
            ["unknown granularity 'layers'; did you mean 'layer'"],
        ),
        ("epochs = 2", 'cuts = "tme"\nepochs = 2', ["unknown cuts 'tme'; did you mean 'time'"]),
        ("epochs = 2", 'blocks = "layers.*"\nepochs = 2', ["task 'first': blocks", 'blocks = ["layers.*"]']),
        ("epochs = 2", "blocks = []\nepochs = 2", ["task 'first': blocks", "at least 1 item"]),
        ("[8]", "2026-01-01", ["model_args", "JSON"]),
        ("epochs = 2", 'device = "mps"\nepochs = 2', ["task 'first': device is not a setting", "never on mps"]),
    ],
)
def test_each_mistake_has_its_own_message(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    path = write_suite(tmp_path, old=old, new=new)
    with pytest.raises(UserError) as caught:
        read_suite(path)
    for part in ["small.toml", *parts]:
        assert part in str(caught.value)


def test_a_misspelled_rule_table_is_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown rule 'grpae'; did you mean 'grape'"):
        read_suite(write_suite(tmp_path, more="[rule.grpae]\nlr = 1.0\n"))


def test_an_error_from_the_command_line_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"small.toml with --seeds -1: seeds"):
        read_suite(write_suite(tmp_path), Overrides(seeds=-1))


@pytest.mark.parametrize(
    "space", ["{ log = [1.0, 0.1] }", "{ log = [0.1, 1.0], linear = [0.1, 1.0] }", "{ lg = [1.0] }"]
)
def test_a_search_space_is_checked(tmp_path: Path, space: str) -> None:
    more = f"[tuning]\ntrials = 8\nspace = {{ lr = {space} }}\n"
    with pytest.raises(UserError, match=r"tuning\.space\.lr"):
        read_suite(write_suite(tmp_path, more=more))


def test_a_search_space(tmp_path: Path) -> None:
    suite = read_suite(write_suite(tmp_path, more="[tuning]\ntrials = 8\nspace = { lr = { log = [1e-4, 1e-1] } }\n"))
    assert suite.tuning is not None
    assert suite.tuning.space["lr"].log == [1e-4, 1e-1]


def test_suites_are_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "quickstart" in suite_files()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    path = write_suite(tmp_path / "suites")
    assert find_suite("small").samefile(path)
    assert find_suite(str(path)) == path
    with pytest.raises(UserError, match="unknown suite 'smal'; did you mean 'small'"):
        find_suite("smal")
    with pytest.raises(UserError, match=r"no suite file 'other\.toml'"):
        find_suite("other.toml")


@pytest.mark.parametrize("path", suite_files().values(), ids=lambda path: path.stem)
def test_every_shipped_suite_is_valid(path: Path) -> None:
    assert read_suite(path).name == path.stem


def test_the_plural_of_a_key_is_not_the_key(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    path.write_text(path.read_text().replace("[[task]]", "[[tasks]]"))
    with pytest.raises(UserError, match=r"unknown key 'tasks'; did you mean 'task'"):
        read_suite(path)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_suite(path).name == "small"
