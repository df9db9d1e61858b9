"""Today's code gives the stored numbers, for each rule on each family of models."""

from __future__ import annotations

import os
import sys
from subprocess import run

import pytest

from grape_bench.rules.names import RULES
from tests.golden import stored
from tests.golden.runs import CASES, DEEP, FAMILIES, IN_TIME, OF_ATTENTION, OF_ENERGIES, ON_GRAPHS

STORED = stored.read()


@pytest.mark.parametrize("name", CASES)
def test_a_run_gives_the_stored_numbers(name: str) -> None:
    case = CASES[name]
    found = stored.problems(STORED.get(name), case.made_with(), case.run())
    assert not found, "\n".join(found)


def test_every_rule_is_stored_on_every_family_and_nothing_else_is() -> None:
    assert STORED.keys() == CASES.keys()
    special = {f"{rule} {task}" for rule, tasks in IN_TIME.items() for task in tasks}
    special |= {f"{rule} graph" for rule in ON_GRAPHS} | {f"{rule} energy" for rule in OF_ENERGIES}
    special |= {f"{rule} vit" for rule in OF_ATTENTION}
    elsewhere = (*IN_TIME, *ON_GRAPHS, *OF_ENERGIES, *OF_ATTENTION)
    general = [rule for rule in RULES if RULES.builtin(rule) and rule not in elsewhere]
    every = special | {f"{rule} {family}" for rule in general for family in FAMILIES}
    same_as_bp = {f"{rule} {family}" for rule in DEEP for family in FAMILIES}
    assert every - same_as_bp - {"norms-only mlp"} <= STORED.keys()


@pytest.mark.slow
def test_another_cpu_passes() -> None:
    """One without vector instructions: it draws other last digits, and adds up in another order."""
    old = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    chosen = [f"{__file__}::test_a_run_gives_the_stored_numbers", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *chosen]
    done = run(command, env={**os.environ, **old}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
