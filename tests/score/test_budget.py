from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.score.table import score
from tests.score.records import make


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


def test_records_from_before_there_was_nproc_or_a_search_stand_beside_new_ones() -> None:
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


def test_a_seed_counts_once() -> None:
    with pytest.raises(UserError, match="more than one record of seed 1"):
        score([make("dfa", 0), make("dfa", 1), make("dfa", 1)])


def test_a_metric_without_formula_is_refused() -> None:
    with pytest.raises(UserError, match="no score for metric 'loss'"):
        score([make("bp", metric={"name": "loss", "unit": "nats", "chance": 2.3})])
