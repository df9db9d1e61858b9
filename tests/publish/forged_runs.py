"""Forgeries of runs: copied runs, omitted runs, and made-up failures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.publish.authored import Content, Forge, edit, runs_of


def outcome_of(path: Path, into: Path) -> None:
    """Copy what a run measured, with its curve, into another run, which keeps its job."""
    job = json.loads((into / "record.json").read_text())["job"]
    for name in ("curve.csv", "diagnostics.csv"):
        if (path / name).is_file():
            shutil.copyfile(path / name, into / name)
    content = json.loads((path / "record.json").read_text())
    (into / "record.json").write_text(json.dumps({**content, "job": job}, indent=1))


def one_seed_as_all_seeds(folder: Path) -> None:
    for task in ("digits-mlp", "mnist1d-mlp"):
        first, *others = runs_of(folder, "Mine", task=task)
        for path, _ in others:
            outcome_of(first[0], path)


def one_seed_twice_with_other_times(folder: Path) -> None:
    first, second, *_ = runs_of(folder, "Mine", task="digits-mlp")
    times, started = second[1]["time"], second[1]["started"]
    kept = [row.split(",")[2] for row in (second[0] / "curve.csv").read_text().splitlines()]
    outcome_of(first[0], second[0])
    edit(runs_of(folder, "Mine", 1, "digits-mlp"), lambda record: record.update(time=times, started=started))
    rows = [row.split(",") for row in (second[0] / "curve.csv").read_text().splitlines()]
    text = "\n".join(",".join([*row[:2], seconds, *row[3:]]) for row, seconds in zip(rows, kept, strict=True))
    (second[0] / "curve.csv").write_text(text + "\n")


def one_seed_twice_with_noise(folder: Path) -> None:
    first, second, *_ = runs_of(folder, "Mine", task="digits-mlp")
    outcome_of(first[0], second[0])
    rows = [row.split(",") for row in (second[0] / "curve.csv").read_text().splitlines()]
    at = rows[0].index("train_loss")
    for row in rows[1:]:
        row[at] = repr(float(row[at]) * (1 + 1e-9))
    (second[0] / "curve.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    edit(runs_of(folder, "Mine", 1, "digits-mlp"), lambda r: r["result"].update(train_loss=float(rows[-1][at])))


def bp_as_my_rule(folder: Path) -> None:
    for path, content in runs_of(folder, "Mine"):
        ((bp, _),) = runs_of(folder, "bp", content["seed"], content["task"])
        outcome_of(bp, path)


def worst_seed_dropped_for_all(folder: Path) -> None:
    for path, _ in runs_of(folder, seed=2):
        shutil.rmtree(path)


def last_seed_dropped_for_all(folder: Path) -> None:
    for path, _ in runs_of(folder, seed=4):
        shutil.rmtree(path)


def best_seed_of_bp_dropped(folder: Path) -> None:
    for path, _ in runs_of(folder, "bp", seed=4):
        shutil.rmtree(path)


def task_dropped_for_all(folder: Path) -> None:
    for path, _ in runs_of(folder, task="digits-mlp"):
        shutil.rmtree(path)


def task_dropped_for_my_rule(folder: Path) -> None:
    for path, _ in runs_of(folder, "Mine", task="digits-mlp"):
        shutil.rmtree(path)


def seeds_renumbered(folder: Path) -> None:
    edit(runs_of(folder), lambda record: record["job"].update(seed=record["seed"] + 10))


def a_seed_renumbered(folder: Path) -> None:
    edit(runs_of(folder, seed=2), lambda record: record["job"].update(seed=7))


def without_bp(folder: Path) -> None:
    for path, _ in runs_of(folder, "bp"):
        shutil.rmtree(path)


def without_dfa(folder: Path) -> None:
    for path, _ in runs_of(folder, "dfa"):
        shutil.rmtree(path)


def without_the_control(folder: Path) -> None:
    for path, _ in [*runs_of(folder, "frozen"), *runs_of(folder, "head-only")]:
        shutil.rmtree(path)


def another_rule_in_the_table(folder: Path) -> None:
    for path, content in runs_of(folder, "Mine"):
        target = shutil.copytree(path, path.with_name(f"other.{content['name']}"))
        edit([(target, content)], lambda record: record["job"].update(rule="fa", rule_source="30548f8061a8a02a"))


def status(word: str, rule: str) -> Forge:
    def worst_seed(folder: Path) -> None:
        def fail(record: Content) -> None:
            record.update(status=word, reason="it failed", result=None)

        edit(runs_of(folder, rule, seed=1), fail)

    worst_seed.__name__ = f"a_seed_of_{rule}_{word}"
    return worst_seed


def my_profile_removed(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record.update(profile=None))


def my_seeds_removed(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record.update(seeds=None))
