import sys
from subprocess import run

import pytest

from grape_bench.errors import UserError
from grape_bench.registry import Registry, load_file


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


def test_a_file_is_imported_without_leaving_byte_code(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    (tmp_path / "mine.py").write_text("value = 1\n")
    assert load_file(tmp_path / "mine.py").value == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_importing_the_package_and_naming_a_rule_imports_no_torch():
    code = (
        "import sys, grape_bench; from grape_bench.rules.names import RULES; list(RULES); "
        "[RULES.source_hash(name) for name in RULES]; sys.exit('torch' in sys.modules)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
