import sys
from subprocess import run

import pytest

from grape_bench.errors import UserError
from grape_bench.registry import Builtin, Registry


def test_a_name_is_imported_when_it_is_asked_for():
    registry = Registry("thing", {"path": "pathlib:Path"})
    assert registry.get("path") is __import__("pathlib").Path and list(registry) == ["path"]


def test_unknown_and_taken_names():
    registry = Registry("thing", {"apple": "a:b"})
    with pytest.raises(UserError, match="unknown thing 'aple'; did you mean 'apple'"):
        registry.get("aple")
    with pytest.raises(UserError, match="already registered"):
        registry.register("apple", 1)


def test_a_source_hash_follows_the_file(tmp_path):
    registry = Registry("thing", {})
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    before = registry.source_hash(f"{path}:x")
    path.write_text("x = 2\n")
    assert registry.source_hash(f"{path}:x") != before and registry.get(f"{path}:x") == 2


def test_a_frozen_source_does_not_follow_the_file():
    registry = Registry("thing", {"path": Builtin("pathlib:Path", source="0" * 16, numerics=2)})
    assert registry.source_hash("path") == "0" * 16 and registry.numerics("path") == 2
    assert registry.get("path") is __import__("pathlib").Path
    assert registry.numerics("mine.py:x") == 1 and registry.defaults("mine.py:x") == {}


def test_the_sources_of_the_rules_are_those_of_the_ids_out_there():
    """A source that changes makes every recorded run of its rule run again. A new rule adds to the list."""
    from grape_bench.rules.names import RULES

    sources = {rule: RULES.source_hash(rule) for rule in sorted(RULES) if RULES.builtin(rule)}
    assert sources == {
        "bp": "ad1effa079d6564d",
        "bp-lowrank": "315f338401e35f61",
        "bp-sampled": "17c9f83091e15770",
        "bp-window": "c951fb00c43f616c",
        "brsf": "e8f55856354c242f",
        "dfa": "7a6975e7e5fa2c00",
        "dfa-gnn": "3b5ca8e2b95e4d9b",
        "dfa-time": "8651cc18689f90fe",
        "dgl": "83fa70bf625e93c8",
        "dkp": "97e298bce02a6c88",
        "dni": "bbea630a22354ac2",
        "drtp": "9f0cd175a1102ade",
        "ebd": "f33d30065edf6300",
        "dtp": "428a6a781c313320",
        "ep": "793ee858bc69ca48",
        "eprop": "56256ccd4ee26f59",
        "fa": "30548f8061a8a02a",
        "fdfa": "a3afdff48d7023a4",
        "ff": "efa950978a238c9a",
        "fg": "9506dc18b6362730",
        "fg-local": "01a728815cfbedb4",
        "fg-weights": "276f626b06603030",
        "frozen": "6b27836a5a582351",
        "frsf": "7f86971afe06b827",
        "grape": "31a9522b3a82917f",
        "grape+refit": "f589f4bb1a1953b9",
        "grape-lazy": "031ec833eba3f5a7",
        "grape-lazy+refit": "726dbebf914524db",
        "grape-quarter": "4517a608f720100f",
        "head-only": "0e32efad8f58020a",
        "kp": "3eb32719074c85f8",
        **{f"last-{count}": "253b985c1bf6fff6" for count in (1, 2, 3, 4, 6, 8)},
        "local": "26279d8d22869b57",
        "mono-forward": "a159f9e2094b79f6",
        "norms-only": "363ccabcca4d8fb6",
        "pfa": "1d27fb5f6ff68f5f",
        "pc": "f26da88f038f49bc",
        "pepita": "ac6958946426bc13",
        "predsim": "30c25f9f62bafbec",
        "rflo": "12b242124181f212",
        "spsa": "f7c81295d08637d5",
        "usf": "b2498e3b2e78fde9",
        "wm": "3b8e87c4098ade0d",
    }


def test_importing_the_package_and_naming_a_rule_imports_no_torch():
    code = (
        "import sys, grape_bench; from grape_bench.rules.names import RULES; list(RULES); "
        "[RULES.source_hash(name) for name in RULES]; sys.exit('torch' in sys.modules)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
