"""The names of the learning rules, known without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grape_bench.registry import Registry

if TYPE_CHECKING:
    from grape_bench.rules.base import LearningRule

ANCHOR = "+anchor"

RULES: Registry[type[LearningRule]] = Registry(
    "rule",
    {
        "bp": "grape_bench.rules.bp:BP",
        "fa": "grape_bench.rules.fa:FA",
        "dfa": "grape_bench.rules.dfa:DFA",
        "grape": "grape_bench.rules.grape:GrAPE",
        "head-only": "grape_bench.rules.head_only:HeadOnly",
    },
    group="grape_bench.rules",
)


def split_anchor(name: str) -> tuple[str, bool]:
    """`"grape+anchor"` as `("grape", True)`, `"dfa"` as `("dfa", False)`."""
    return (name.removesuffix(ANCHOR), True) if name.endswith(ANCHOR) else (name, False)
