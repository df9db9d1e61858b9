import pytest

from grape_bench.publish.confusable import flaw, lookalike, skeleton
from grape_bench.rules.names import RULES


@pytest.mark.parametrize("name", ["MyRule", "my-rule", "grape+anchor", "last-1", "规则一", "Правило", "Ärger_2"])
def test_normal_names(name: str) -> None:
    assert flaw(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("d fa", "SPACE"),
        ("dfa ", "SPACE"),
        ("d\u200bfa", "ZERO WIDTH SPACE"),
        ("d\u202efa", "RIGHT-TO-LEFT OVERRIDE"),
        ("dfa\ufe0f", "VARIATION SELECTOR-16"),
        ("d\x1b[2Jfa", "'\\x1b'"),
        ("d\nfa", "'\\n'"),
        ("a/b", "SOLIDUS"),
        ("x.py:bp", "COLON"),
        ("<b>", "LESS-THAN SIGN"),
        ("ｄｆａ", "normal form (NFKC), which is 'dfa'"),
        ("ﬁne", "which is 'fine'"),
        ("dfа", "mixes letters that look alike: CYRILLIC and LATIN"),
        ("βp", "GREEK and LATIN"),
        ("", "does not start with a letter"),
        ("-dfa", "does not start with a letter"),
    ],
)
def test_a_flaw_is_named(name: str, why: str) -> None:
    assert why in flaw(name)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("BP", "bp"),
        ("DFA", "dfa"),
        ("d-f.a", "dfa"),
        ("dfá", "dfa"),
        ("đfa", "dfa"),
        ("ɡrape", "grape"),
        ("вр", "bp"),
        ("ВР", "bp"),
        ("f\u0000a", "fa"),
        ("1ocal", "local"),
        ("Iocal", "local"),
        ("0nly", "only"),
        ("norrns-only", "norms-only"),
        ("last-l", "last-1"),
        ("grape_lazy", "grape-lazy"),
    ],
)
def test_a_lookalike_is_found(name: str, known: str) -> None:
    assert lookalike(name, [*RULES.shipped, "only"]) == known


def test_other_names_look_like_none_that_ships() -> None:
    for name in ("MyRule", "NoisyDFA", "TargetPropagation", "规则一", "dfa2"):
        assert lookalike(name, RULES.shipped) == ""


def test_the_names_that_ship_differ() -> None:
    assert len({skeleton(name) for name in RULES.shipped}) == len(RULES.shipped)
