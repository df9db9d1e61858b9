"""The names of the learning rules, known without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grape_bench.registry import Registry

if TYPE_CHECKING:
    from grape_bench.rules.base import LearningRule

RULES: Registry[type[LearningRule]] = Registry(
    "rule",
    {
        "bp": "grape_bench.rules.bp:BP",
        "fa": "grape_bench.rules.fa:FA",
        "usf": "grape_bench.rules.usf:USF",
        "brsf": "grape_bench.rules.brsf:BrSF",
        "frsf": "grape_bench.rules.frsf:FrSF",
        "kp": "grape_bench.rules.kp:KP",
        "wm": "grape_bench.rules.wm:WM",
        "dfa": "grape_bench.rules.dfa:DFA",
        "drtp": "grape_bench.rules.drtp:DRTP",
        "grape": "grape_bench.rules.grape:GrAPE",
        "grape+refit": "grape_bench.rules.refit:GrAPERefit",
        "fg": "grape_bench.rules.fg:FG",
        "local": "grape_bench.rules.local:Local",
        "head-only": "grape_bench.rules.head_only:HeadOnly",
    },
    group="grape_bench.rules",
)
