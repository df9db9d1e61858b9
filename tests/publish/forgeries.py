"""What a forger may do to a publication. Ids, names, the table and the index are made to agree afterwards.

A forgery is a function of the folder. `FORGERIES` maps it to the check that finds it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.publish.authored import Content, Run, edit, runs_of

Forge = Callable[[Path], None]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))


def outcome_of(path: Path, into: Path) -> None:
    """Copy what a run measured, with its curve, into another run, which keeps its job."""
    job = json.loads((into / "record.json").read_text())["job"]
    for name in ("curve.csv", "diagnostics.csv"):
        if (path / name).is_file():
            shutil.copyfile(path / name, into / name)
    content = json.loads((path / "record.json").read_text())
    (into / "record.json").write_text(json.dumps({**content, "job": job}, indent=1))


def with_files(runs: list[Run], change: Callable[[str], str]) -> None:
    for path, _ in runs:
        (path / "curve.csv").write_text(change((path / "curve.csv").read_text()))


# Runs


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


# Settings and suite


def bp_crippled_in_the_suite(folder: Path) -> None:
    with (folder / "suite.toml").open("a") as suite:
        suite.write("\n[rule.bp]\nlr = 1e-6\n")
    edit(runs_of(folder, "bp"), lambda record: record["job"]["optimizer"].update(lr=1e-6))


def bp_crippled_in_a_task(folder: Path) -> None:
    replace(folder / "suite.toml", "batch_size = 32\n", "batch_size = 32\nrule = { bp = { weight_decay = 9.0 } }\n")
    change = {"weight_decay": 9.0}
    edit(runs_of(folder, "bp", task="digits-mlp"), lambda record: record["job"]["optimizer"].update(change))


def bp_crippled_in_the_jobs(folder: Path) -> None:
    edit(runs_of(folder, "bp"), lambda record: record["job"]["optimizer"].update(lr=1e-6))


def bp_with_another_optimizer(folder: Path) -> None:
    edit(runs_of(folder, "bp"), lambda record: record["job"]["optimizer"].update(name="sgd"))


def precision_changed_for_all(folder: Path) -> None:
    edit(runs_of(folder), lambda record: record["job"].update(precision="bf16"))


def precision_changed_in_the_suite(folder: Path) -> None:
    replace(folder / "suite.toml", "epochs = 10", 'epochs = 10\nprecision = "bf16"')
    precision_changed_for_all(folder)


def settings_outside_the_space(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"]["optimizer"].update(lr=0.5))


def settings_beside_the_space(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"]["optimizer"].update(lr=0.0123))


def a_narrower_space_on_the_card(folder: Path) -> None:
    replace(folder / "rule.toml", "[0.0001, 0.1]", "[0.09, 0.1]")


def a_wider_space_on_the_card(folder: Path) -> None:
    with (folder / "rule.toml").open("a") as card:
        card.write("momentum = { linear = [0.0, 0.9] }\n")


def fewer_trials_on_the_card(folder: Path) -> None:
    replace(folder / "rule.toml", "trials = 8", "trials = 1")


def an_unknown_suite_version(folder: Path) -> None:
    replace(folder / "suite.toml", 'version = "2.0"', 'version = "9.9"')
    replace(folder / "suite.toml", "hidden = [32, 32, 32]", "hidden = [2, 2]")
    edit(runs_of(folder), lambda record: record["job"].update(version="9.9"))
    edit(runs_of(folder, task="digits-mlp"), lambda record: record["job"].update(model_args={"hidden": [2, 2]}))


def suite_called(name: str) -> Forge:
    def suite(folder: Path) -> None:
        replace(folder / "suite.toml", 'name = "quickstart"', f'name = "{name}"')
        edit(runs_of(folder), lambda record: record["job"].update(suite=name))

    suite.__name__ = f"suite_called_{name!a}"
    return suite


# Names


def rule_called(name: str) -> Forge:
    def rule(folder: Path) -> None:
        def rename(record: Content) -> None:
            record["job"]["rule"] = record["job"]["rule"].replace("Mine", name)

        edit(runs_of(folder, "Mine"), rename)
        replace(folder / "rule.toml", '"Mine"', json.dumps(name, ensure_ascii=False))

    rule.__name__ = f"rule_called_{name!a}"
    return rule


def my_rule_as_an_installed_one(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["job"].update(rule="Mine"))
    (folder / "source.py").unlink()
    shutil.rmtree(folder / "code")


# Outcomes


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


# What should be equal for all rows


def another_fingerprint(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["data"].update(fingerprint="0" * 64))


def no_fingerprint(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["data"].pop("fingerprint"))


def other_data(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["data"]["sizes"].update(train=100_000))


def another_torch(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["environment"]["packages"].update(torch="9.9.9"))


def another_python(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["environment"].update(python="2.7"))


def a_thousand_times_the_parameters(folder: Path) -> None:
    def grow(record: Content) -> None:
        record["network"]["parameters"]["rule"] += 8000
        for block in record["network"]["blocks"]:
            block["shape"] = [1000 * size for size in block["shape"]]

    edit(runs_of(folder, "Mine"), grow)


def a_thousand_times_the_weights(folder: Path) -> None:
    def grow(record: Content) -> None:
        if record["profile"]:
            record["profile"]["holders"]["weights"] *= 1000

    edit(runs_of(folder, "Mine"), grow)


def chance(rules: str, value: float) -> Forge:
    def guessing(folder: Path) -> None:
        edit(runs_of(folder, rules), lambda record: record["metric"].update(chance=value))

    guessing.__name__ = f"chance_{value}_for_{rules or 'all'}"
    return guessing


def another_metric(folder: Path) -> None:
    edit(runs_of(folder), lambda record: record["metric"].update(name="roc_auc"))
    with_files(runs_of(folder), lambda text: text.replace("validation_accuracy", "validation_roc_auc"))


def another_metric_for_my_rule(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["metric"].update(name="roc_auc"))
    with_files(runs_of(folder, "Mine"), lambda text: text.replace("validation_accuracy", "validation_roc_auc"))


def another_unit(folder: Path) -> None:
    edit(runs_of(folder), lambda record: record["metric"].update(unit="permille"))


# Impossible numbers


def negative_time(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["time"].update(train_s=-1.0))


def end_before_the_start(folder: Path) -> None:
    edit(
        runs_of(folder, "Mine"),
        lambda record: record.update(started="2026-11-27T16:00:00.000+00:00", ended="2026-11-27T15:00:00.000+00:00"),
    )


def the_year_9999(folder: Path) -> None:
    edit(runs_of(folder, "bp"), lambda record: record.update(ended="9999-01-01T00:00:00.000+00:00"))


def not_a_date(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record.update(started="yesterday"))


def faster_than_its_clock(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["time"].update(total_s=1e-3))


def half_the_steps(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["time"].update(steps=record["time"]["steps"] // 2))


def step_ratio(value: float) -> Forge:
    def ratio(folder: Path) -> None:
        def change(record: Content) -> None:
            if record["profile"]:
                record["profile"].update(step_ratio=value, low=value, high=value)

        edit(runs_of(folder, "Mine"), change)

    ratio.__name__ = f"step_ratio_{value}"
    return ratio


def no_flops(folder: Path) -> None:
    def change(record: Content) -> None:
        if record["profile"]:
            record["profile"]["flops"]["total"] = 1.0

    edit(runs_of(folder, "Mine"), change)


def bp_with_more_flops(folder: Path) -> None:
    def change(record: Content) -> None:
        if record["profile"]:
            record["profile"]["flops"]["bp"] *= 10

    edit(runs_of(folder, "Mine"), change)


def no_memory(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["memory"].update(peak_bytes=-1))


def commit(value: str) -> Forge:
    def git(folder: Path) -> None:
        edit(runs_of(folder), lambda record: record["environment"]["git"].update(commit=value))

    git.__name__ = f"commit_{value}"
    return git


def no_backward_passes(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["credit"].update(bp_fraction=0.0))


def another_share_declared(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["credit"].update(declared_bp_fraction=0.0))


def another_share_on_the_card(folder: Path) -> None:
    replace(folder / "rule.toml", "bp_fraction = 1.0", "bp_fraction = 0.0")


def weight_transport_hidden(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["credit"].update(transport="all"))


def accuracy_between_two_samples(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["result"].update(test=99.123456))


def a_smaller_test_error(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["result"].update(test_error=0.001))


# Files


def duplicate_key_in_a_record(folder: Path) -> None:
    replace(runs_of(folder, "Mine")[0][0] / "record.json", '"status":', '"status": "crashed",\n "status":')


def file_called(name: str, mode: int = 0o644) -> Forge:
    def extra(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"extra")
        path.chmod(mode)

    extra.__name__ = f"file_{name}"
    return extra


def an_executable(folder: Path) -> None:
    (folder / "table.csv").chmod(0o755)


def a_fifo(folder: Path) -> None:
    os.mkfifo(folder / "runs" / "pipe")


def a_link_to_a_folder(folder: Path) -> None:
    (folder / "runs" / "more").symlink_to("/tmp")


def an_empty_folder(folder: Path) -> None:
    (folder / "empty").mkdir()


def a_verification(folder: Path) -> None:
    content = json.loads((folder / "index.json").read_text())
    (folder / "verification.json").write_text(json.dumps({"id": content["id"], "badge": "verified", "reruns": []}))


def other_constraints(folder: Path) -> None:
    (folder / "constraints.txt").write_text("torch @ https://example.org/torch.whl\n")


def a_user_file_that_no_run_used(folder: Path) -> None:
    (folder / "code" / ("0" * 16)).mkdir()
    (folder / "code" / ("0" * 16) / "more.py").write_text("")


FORGERIES: list[tuple[Forge, str]] = [
    (one_seed_as_all_seeds, "copies"),
    (one_seed_twice_with_other_times, "copies"),
    (one_seed_twice_with_noise, "copies"),
    (bp_as_my_rule, "copies"),
    (worst_seed_dropped_for_all, "plan"),
    (last_seed_dropped_for_all, "plan"),
    (best_seed_of_bp_dropped, "plan"),
    (task_dropped_for_all, "plan"),
    (task_dropped_for_my_rule, "plan"),
    (seeds_renumbered, "plan"),
    (a_seed_renumbered, "plan"),
    (without_bp, "plan"),
    (without_dfa, "plan"),
    (without_the_control, "plan"),
    (another_rule_in_the_table, "plan"),
    (bp_crippled_in_the_suite, "suite"),
    (bp_crippled_in_a_task, "suite"),
    (bp_crippled_in_the_jobs, "suite"),
    (bp_with_another_optimizer, "suite"),
    (precision_changed_for_all, "suite"),
    (precision_changed_in_the_suite, "suite"),
    (settings_outside_the_space, "suite"),
    (settings_beside_the_space, "suite"),
    (a_narrower_space_on_the_card, "selection"),
    (a_wider_space_on_the_card, "selection"),
    (fewer_trials_on_the_card, "selection"),
    (an_unknown_suite_version, "suite"),
    *((suite_called(name), "names") for name in ("Quickstart", "quick-start", "qu1ckstart", "quickstaгt")),
    *((rule_called(name), "names") for name in ("bp", "dfa", "frozen", "grape", "last-1")),
    *(
        (rule_called(name), "names")
        for name in ("dfа", "DFA", "dfa ", "d\u200bfa", "ｄｆａ", "d-fa", "вр", "dfá", "\u202eafd")
    ),
    (my_rule_as_an_installed_one, "source"),
    *(
        (status(word, rule), "outcomes")
        for word in ("crashed", "oom", "timeout", "diverged")
        for rule in ("bp", "Mine")
    ),
    (my_profile_removed, "cost"),
    (my_seeds_removed, "identity"),
    (another_fingerprint, "equal"),
    (no_fingerprint, "equal"),
    (other_data, "equal"),
    (another_torch, "equal"),
    (another_python, "equal"),
    (a_thousand_times_the_parameters, "equal"),
    (a_thousand_times_the_weights, "equal"),
    (chance("Mine", 0.0), "equal"),
    (chance("", 0.0), "scores"),
    (chance("", 90.0), "equal"),
    (another_metric, "scores"),
    (another_metric_for_my_rule, "equal"),
    (another_unit, "scores"),
    (negative_time, "times"),
    (end_before_the_start, "times"),
    (the_year_9999, "times"),
    (not_a_date, "times"),
    (faster_than_its_clock, "times"),
    (half_the_steps, "times"),
    (step_ratio(0.01), "cost"),
    (step_ratio(-1.0), "cost"),
    (no_flops, "cost"),
    (bp_with_more_flops, "equal"),
    (no_memory, "cost"),
    *((commit(value), "environment") for value in ("0" * 40, "deadbeef" * 5)),
    (no_backward_passes, "credit"),
    (another_share_declared, "credit"),
    (another_share_on_the_card, "credit"),
    (weight_transport_hidden, "credit"),
    (accuracy_between_two_samples, "scores"),
    (a_smaller_test_error, "scores"),
]
"""Forgeries after which everything is made to agree, and the check that finds each."""

FILES: list[tuple[Forge, str]] = [
    (duplicate_key_in_a_record, "records"),
    *(
        (file_called(name), "files")
        for name in (
            "model.pkl",
            "run.sh",
            ".github/workflows/submission.yml",
            "runs/extra.py",
            "runs/conftest.py",
            "code/setup.py",
            "code/0123456789abcdef/data.so",
            ".hidden",
            "README.html",
            "TABLE.csv",
        )
    ),
    (file_called("constraints.txt", 0o755), "files"),
    (an_executable, "files"),
    (a_fifo, "files"),
    (a_link_to_a_folder, "files"),
    (an_empty_folder, "files"),
    (a_verification, "files"),
    (other_constraints, "environment"),
    (a_user_file_that_no_run_used, "source"),
]
"""Forgeries of the files themselves. The index is written again after each."""
