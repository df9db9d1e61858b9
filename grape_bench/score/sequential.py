"""Adding seeds until a table is settled: the looks, which are planned before the first seed, and when to stop."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from grape_bench.record.rule_name import RuleName
from grape_bench.score.references import REFERENCE_RULES
from grape_bench.score.standing import TOO_FEW

WORDS = ("vs_bp", "vs_dfa", "vs_control")


def looks(first: int, most: int) -> list[int]:
    """The numbers of seeds at which to look at the results: each 1.5 times the one before, and `most` at the end.

    looks(3, 10) = [3, 5, 8, 10]. Few looks cost little: every test is made at 5 % / the number of looks.
    """
    found = [first]
    while found[-1] < most:
        found.append(min(most, found[-1] + (found[-1] + 1) // 2))
    return found


def unsettled(table: pd.DataFrame, rules: Collection[str]) -> list[str]:
    """What is still `n too small`, such as "digits-mlp my-rule vs_bp". `rules` are those under test.

    If empty, all rules are, except the references and open rows.
    """
    rows = [
        row
        for row in table.to_dict("records")
        if (row["rule"] in rules if rules else not _refers(row["rule"])) and row["n"] > 0
    ]
    words = [name for name in WORDS if name in table]
    return [f"{row['task']} {row['rule']} {name}" for row in rows for name in words if row[name].startswith(TOO_FEW)]


def _refers(rule: str) -> bool:
    return rule in REFERENCE_RULES or RuleName.parse(rule).is_open
