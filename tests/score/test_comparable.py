from pathlib import Path
from typing import Any

import pytest

from grape_bench import network, train
from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.report import csv, markdown
from grape_bench.score.compare import Side, compare_sides
from grape_bench.score.table import score
from tests.score.records import make, suite


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 40),
        ("batch_size", 32),
        ("dataset_args", {"augment": True}),
        ("model_args", {"hidden": [512, 512]}),
        ("model", "lenet"),
        ("dataset", "mnist"),
        ("schedule", "cosine"),
        ("precision", "bf16"),
        ("compile", True),
        ("deterministic", True),
        ("trials", 8),
    ],
)
def test_unequal_budgets_of_two_rules_are_refused(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"unequal budgets.*{key}") as error:
        score([make("bp"), make("grape", **{key: value})])
    assert error.value.where == "task digits-mlp"


def test_records_older_than_nproc_and_tuning_share_a_table_with_new_ones() -> None:
    content = make("bp").to_dict()
    for key in ("compile", "deterministic", "nproc", "trials", "trial", "probes"):
        del content["job"][key]
    old = Record.from_dict(content)
    score([old, make("bp", 1), make("dfa")])
    with pytest.raises(UserError, match=r"trials = 1 for bp but 8 for dfa"):
        score([old, make("dfa", trials=8)])


def test_a_rule_may_have_its_own_learning_rate() -> None:
    score([make("bp"), make("dfa", optimizer={"name": "adamw", "lr": 3e-3})])


def test_tasks_may_differ() -> None:
    score([make("bp"), make("bp", task="digits-vit", epochs=40, model="timm:vit_tiny_patch16_224")])


def test_different_suite_versions_are_refused() -> None:
    with pytest.raises(UserError, match=r"quickstart@1.0, quickstart@1.1"):
        score([make("bp"), make("dfa", version="1.1")])


def test_seeds_of_one_rule_share_all_settings() -> None:
    with pytest.raises(UserError, match="different rule_settings"):
        score([make("grape", 0), make("grape", 1, rule_settings={"perturbations": 2})])
    with pytest.raises(UserError, match="different rule_source"):
        score([make("grape", 0), make("grape", 1, rule_source="1a")])


def test_a_seed_may_appear_only_once() -> None:
    with pytest.raises(UserError, match="more than one record of seed 1"):
        score([make("dfa", 0), make("dfa", 1), make("dfa", 1)])


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UserError, match="metric 'loss' cannot be scored"):
        score([make("bp", metric={"name": "loss", "unit": "nats", "chance": 2.3})])


def made(name: str, seed: int = 0, /, **numerics: int) -> Record:
    """A record made with these `numerics`. Old records have none."""
    return make(name, seed, numerics=numerics)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (make("bp"), made("fa", model=2), r"model mlp has numerics 1 \(bp\) and 2 \(fa\)"),
        (made("bp", dataset=2), make("fa"), r"data set digits has numerics 1 \(fa\) and 2 \(bp\)"),
        (make("bp"), made("fa", trainer=2), r"trainer has numerics 1 \(bp\) and 2 \(fa\)"),
        (make("dfa"), made("grape", cuts=3), r"cuts has numerics 2 \(dfa\) and 3 \(grape\)"),
        (make("dfa+anchor"), made("grape+anchor", anchors=3), r"anchors has numerics 1 \(dfa\+anchor\) and 3"),
        (make("dfa+anchor"), made("dfa", rule=2), r"rule dfa has numerics 1 \(dfa\+anchor\) and 2 \(dfa\)"),
        (make("dfa", 0), made("dfa", 1, rule=2), r"rule dfa has numerics 1 \(dfa\) and 2 \(dfa\)"),
    ],
)
def test_a_part_with_two_integers_is_refused(one: Record, other: Record, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        score([one, other])
    assert "run the suite again" in error.value.hint
    with pytest.raises(UserError, match=said):
        compare_sides(Side("here", [one]), Side("there", [other]))


def test_numerics_of_the_cuts_do_not_matter_to_rules_without_cuts() -> None:
    score([make("bp"), make("fa"), made("dfa", cuts=3)])


def test_two_rules_may_have_different_integers() -> None:
    score([make("bp"), made("dfa", rule=2, cuts=2), make("grape")])


def test_a_table_with_older_integers_opens_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    records = suite()
    before = score(records)
    monkeypatch.setattr(train, "NUMERICS", 3)
    monkeypatch.setattr(network, "NUMERICS", 3)
    table = score(records)
    line = "made with different numerics than this version has: cuts 2 (now 3), trainer 1 (now 3)"
    assert table.attrs["notes"] == [line, *before.attrs["notes"][1:]]
    assert csv.text(table) == csv.text(before) and markdown.render(table).count(line) == 1


def test_recorded_tables_have_the_current_numerics_or_say_so() -> None:
    from grape_bench.record.folder import read_records
    from grape_bench.score.comparable import outdated

    for folder in (Path(__file__).parents[2] / "results").glob("*/runs"):
        note = outdated(read_records(folder))
        if folder.parent.name in ("quickstart", "walk-back"):
            assert note == ""
        else:
            assert note in (folder.parent / "README.md").read_text()


def test_two_margins_are_refused() -> None:
    """Otherwise the first record of BP would decide what "tied" means in every row."""
    with pytest.raises(UserError, match=r"cannot share a table: 0\.02, 0\.1") as caught:
        score([make("bp", 0), make("bp", 1, margin=0.02)])
    assert "version" in caught.value.hint
    assert score([make("bp", s, margin=0.02) for s in range(2)])["margin"].tolist() == [0.02]


def test_one_rule_in_more_processes_is_refused() -> None:
    with pytest.raises(UserError, match="nproc = 1 for bp but 4 for fa"):
        score([make("bp", 0), make("fa", 0, nproc=4)])
