"""Files, environments and modules that the documentation names exist."""

import re
from pathlib import Path

import pytest

from benchmarks import rules
from grape_bench.rules.catalog import CATALOG

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:tests|benchmarks|suites|grape_bench)/[\w./-]+\.\w+)`", text)
    assert [link for link in links if link and not (page.parent / link).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_environments_and_modules_exist(page: Path) -> None:
    text, tox = page.read_text(encoding="utf-8"), (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"`tox -e ([\w-]+)`", text) if f"[testenv:{name}]" not in tox] == []
    modules = re.findall(r"python -m ((?:benchmarks|grape_bench)[\w.]*)", text)
    places = {name: ROOT.joinpath(*name.split(".")) for name in modules}
    assert [name for name, path in places.items() if not (path.with_suffix(".py").exists() or path.is_dir())] == []


def test_the_table_of_shippedis_current() -> None:
    """Update it with `python -m benchmarks.rules`."""
    text = rules.DOCS.read_text(encoding="utf-8")
    assert rules.updated(text) == text


def test_the_readme_counts_the_rules() -> None:
    shipped = [name for name, entry in CATALOG.items() if entry.family != "control"]
    assert f"grape-bench ships [{len(shipped)} rules]" in (ROOT / "README.md").read_text(encoding="utf-8")
