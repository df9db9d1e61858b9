"""The documentation as a site: it builds without warnings and loads nothing from elsewhere, and no link is broken."""

from __future__ import annotations

import importlib.util
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import grape_bench

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_reference_has_every_public_name_once() -> None:
    assert sorted(re.findall(r"^::: grape_bench\.(\w+)$", REFERENCE, flags=re.M)) == sorted(grape_bench.__all__)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    pages += [str(path.relative_to(ROOT)) for path in (ROOT / "results").glob("*/README.md")]
    assert [page for page in pages if f" {page}\n" not in navigation] == []


class Page(HTMLParser):
    """What a page loads, where it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if anchor := given.get("id"):
            self.anchors.add(anchor)
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        elif link := given.get("src") or (given.get("href") if tag == "link" else None):
            self.loads.append(link)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material")
    pytest.importorskip("mkdocs_click")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def inside(page: str, link: str) -> str:
    """The file of the site that a link of `page` names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(urlsplit(link).path)))


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_no_page_loads_anything_from_the_network(site: Path, pages: dict[str, Page]) -> None:
    assert {link for page in pages.values() for link in page.loads if re.match(r"(https?:)?//", link)} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//[^)]*", styles) == []


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_every_link_and_picture_is_there(site: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        for link in page.links + page.loads:
            if name == "404.html" or urlsplit(link).scheme or not link:
                continue
            target = inside(name, link) if urlsplit(link).path else name
            anchor = urlsplit(link).fragment
            if not (site / target).exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append((name, link))
    assert broken == []


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_formulas_are_mathml_and_the_commands_are_listed(site: Path) -> None:
    rules = (site / "rules.html").read_text(encoding="utf-8")
    assert "<math" in rules and "arithmatex" not in rules
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert "grape-bench verify" in commands and "--until-resolved" in commands
    assert "Make <code>rule</code> compute the gradients" in (site / "reference.html").read_text(encoding="utf-8")


def test_lists_and_formulas_get_the_empty_lines_that_github_does_without() -> None:
    pytest.importorskip("mkdocs")
    place = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "_site" / "pages.py")
    assert place and place.loader
    hook = importlib.util.module_from_spec(place)
    place.loader.exec_module(hook)
    assert hook._apart("so:\n- one\n- two\n") == "so:\n\n- one\n- two\n"
    assert hook._apart("obeys\n$$x$$\n") == "obeys\n\n$$x$$\n\n"
    assert hook._apart("- one\n  more\n- two\n") == "- one\n  more\n- two\n"
