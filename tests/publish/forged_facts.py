"""Forgeries of what records state: data, metric, model, versions, times and costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.publish.authored import Content, Forge, Run, edit, reworded, runs_of


def with_files(runs: list[Run], change: Callable[[str], str]) -> None:
    for path, _ in runs:
        (path / "curve.csv").write_text(change((path / "curve.csv").read_text()))


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
    reworded(folder / "rule.toml", "bp_fraction = 1.0", "bp_fraction = 0.0")


def another_transport_declared(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["credit"].update(declared_transport=True))


def weight_transport_hidden(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["credit"].update(transport="all"))


def accuracy_between_two_samples(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["result"].update(test=99.123456))


def a_smaller_test_error(folder: Path) -> None:
    edit(runs_of(folder, "Mine"), lambda record: record["result"].update(test_error=0.001))
