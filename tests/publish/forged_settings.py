"""Forgeries of settings, of the suite, and of names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.publish.authored import Content, Forge, edit, reworded, runs_of


def bp_crippled_in_the_suite(folder: Path) -> None:
    with (folder / "suite.toml").open("a") as suite:
        suite.write("\n[rule.bp]\nlr = 1e-6\n")
    edit(runs_of(folder, "bp"), lambda record: record["job"]["optimizer"].update(lr=1e-6))


def bp_crippled_in_a_task(folder: Path) -> None:
    reworded(folder / "suite.toml", "batch_size = 32\n", "batch_size = 32\nrule = { bp = { weight_decay = 9.0 } }\n")
    change = {"weight_decay": 9.0}
    edit(runs_of(folder, "bp", task="digits-mlp"), lambda record: record["job"]["optimizer"].update(change))


def bp_crippled_in_the_jobs(folder: Path) -> None:
    edit(runs_of(folder, "bp"), lambda record: record["job"]["optimizer"].update(lr=1e-6))


def bp_with_another_optimizer(folder: Path) -> None:
    edit(runs_of(folder, "bp"), lambda record: record["job"]["optimizer"].update(name="sgd"))


def precision_changed_for_all(folder: Path) -> None:
    edit(runs_of(folder), lambda record: record["job"].update(precision="bf16"))


def precision_changed_in_the_suite(folder: Path) -> None:
    reworded(folder / "suite.toml", "epochs = 10", 'epochs = 10\nprecision = "bf16"')
    precision_changed_for_all(folder)


def settings_outside_the_space(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"]["optimizer"].update(lr=0.5))


def settings_beside_the_space(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"]["optimizer"].update(lr=0.0123))


def a_narrower_space_on_the_card(folder: Path) -> None:
    reworded(folder / "rule.toml", "[0.0001, 0.1]", "[0.09, 0.1]")


def a_wider_space_on_the_card(folder: Path) -> None:
    with (folder / "rule.toml").open("a") as card:
        card.write("momentum = { linear = [0.0, 0.9] }\n")


def fewer_trials_on_the_card(folder: Path) -> None:
    reworded(folder / "rule.toml", "trials = 8", "trials = 1")


def an_unknown_suite_version(folder: Path) -> None:
    reworded(folder / "suite.toml", 'version = "2.0"', 'version = "9.9"')
    reworded(folder / "suite.toml", "hidden = [32, 32, 32]", "hidden = [2, 2]")
    edit(runs_of(folder), lambda record: record["job"].update(version="9.9"))
    edit(runs_of(folder, task="digits-mlp"), lambda record: record["job"].update(model_args={"hidden": [2, 2]}))


def suite_called(name: str) -> Forge:
    def suite(folder: Path) -> None:
        reworded(folder / "suite.toml", 'name = "quickstart"', f'name = "{name}"')
        edit(runs_of(folder), lambda record: record["job"].update(suite=name))

    suite.__name__ = f"suite_called_{name!a}"
    return suite


def rule_called(name: str) -> Forge:
    def rule(folder: Path) -> None:
        def rename(record: Content) -> None:
            record["job"]["rule"] = record["job"]["rule"].replace("Mine", name)

        edit(runs_of(folder, "Mine"), rename)
        reworded(folder / "rule.toml", '"Mine"', json.dumps(name, ensure_ascii=False))

    rule.__name__ = f"rule_called_{name!a}"
    return rule


def my_rule_as_an_installed_one(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"].update(rule="Mine"))
    (folder / "source.py").unlink()
    shutil.rmtree(folder / "code")
