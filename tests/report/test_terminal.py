import io

import pandas as pd
from rich.console import Console

from grape_bench.report import terminal
from grape_bench.score.table import score
from tests.score.records import RULES, failed, make, suite


def printed(table: pd.DataFrame, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal.render(table))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_one_table_per_task_with_every_rule() -> None:
    lines = printed(score(suite(3)))
    assert sum("accuracy (3)†" in line for line in lines) == 2, "the number of seeds is in the heading"
    rules = [line.split()[0] for line in lines if " ± " in line and "Test accuracy" not in line]
    assert rules == [*RULES, *RULES]
    assert "digits-mlp" in lines and "digits-vit" in lines


def test_numbers_do_not_wrap_next_to_long_names() -> None:
    # 100.00 ± 10.00 (10) is the widest possible accuracy.
    records = [make("my/rules.py:AnExtremelyLongNameOfARule", s, 100.0 - 20 * (s % 2)) for s in range(10)]
    lines = printed(score([*records, *suite(5, ("digits-mlp",)), failed("usf", 0, "crashed"), failed("usf", 1, "oom")]))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "90.00 ± 7.54 (10)" in text and "BP fraction" in text and "…" not in text
    assert "crashed 1/2" in text and "oom 1/2" in text


def test_our_own_words_do_not_wrap_in_80_columns() -> None:
    table = score(suite(3))
    # The widest values: our longest rule name, a number of three digits, a verdict of two words.
    table["gap_closed"], table["accuracy_ci"], table["verdict"] = -11.55, 31.65, "activations exploding"
    table["credit"], table["feature_credit"], table["vs_bp"] = -10.83, -10.83, "n too small (>100)"
    table["vs_dfa"] = table["vs_control"] = "n too small (>100)"
    text = "\n".join(printed(table))
    assert max(map(len, text.splitlines())) <= 80
    for word in (
        "grape+anchor",
        "head-only",
        "activations",
        "exploding",
        "verdict",
        "credit",
        "feature",
        "memory",
        "n too small",
    ):
        assert word in text, word


def test_a_table_that_is_too_wide_is_printed_in_parts() -> None:
    table = score(suite(3, ("digits-mlp",)))
    table["feature_credit"], table["blocks_worth"] = -10.83, 12.25
    lines = printed(table)
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines if line.startswith("rule ")]
    assert len(headings) == 3, "scores, costs, words"
    bp = [line.split() for line in lines if line.startswith("bp ")]
    assert bp[0][2] == "±" and bp[1][-1] == "1.000" and "12.25" in bp[0] + bp[1]
    assert len([line for line in printed(table, width=120) if line.startswith("rule ")]) == 2


def test_a_column_without_a_value_on_the_task_is_left_out() -> None:
    records = [make("bp", s, 90.0 + s, task=task) for s in range(3) for task in ("a", "b")]
    records += [make("dfa", s, 80.0 + s, task="a") for s in range(3)]
    lines = printed(score(records))
    assert sum("closed" in line for line in lines[: lines.index("b")]) == 1
    assert not any(line.startswith("rule ") and "closed" in line for line in lines[lines.index("b") :])


def test_an_empty_table_says_so() -> None:
    assert printed(score([])) == ["no results yet"]
