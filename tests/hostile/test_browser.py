"""Pages built from hostile names in a real browser: nothing runs, nothing loads, and no link leads out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grape_bench.publish.index import write_index
from grape_bench.publish.site import build
from grape_bench.report import page
from tests.hostile.folders import recorded
from tests.hostile.names import NAMES
from tests.hostile.test_names import scored

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
HOSTILE = ("name =", "version =", "paper =")
ACTED = "acted"  # what the names would set as the title


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A tab that keeps what its page asked for, and what it reported."""

    def __init__(self, browser: Any, file: Path) -> None:
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.stopped: dict[str, str] = {}
        self.tab = browser.new_page()
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("requestfailed", lambda request: self.stopped.update({request.url: request.failure}))
        self.tab.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.tab.goto(file.as_uri())

    def check(self, file: Path, links: set[str]) -> None:
        """Nothing but the page itself was asked for, no script of a name ran, and only our own `links` are there."""
        assert [url for url in self.requests if url not in (file.as_uri(), "data:,")] == []
        assert self.dialogs == [] and self.errors == [] and self.tab.title() != ACTED
        found = self.tab.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href') ?? a.href.baseVal)")
        assert set(found) == links
        assert self.tab.locator("img, iframe, object, embed, form, svg a, [onerror], [onclick]").count() == 0


def test_the_report_of_hostile_rules(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page.render(scored()), encoding="utf-8")
    watched = Watched(browser, file)
    tab = watched.tab
    assert tab.locator(".plot:visible").count() >= 2, "the charts are drawn under the policy"
    tab.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    tab.locator("#results thead th button").first.click()
    tab.get_by_label("Find a rule").fill("<")
    tab.get_by_role("button", name="Show all").click()
    for point in tab.locator(".plot .points path").all()[:10]:
        point.hover(force=True)
    texts = tab.locator(".plot text").all_text_contents()
    assert any("<script>" in text for text in texts), "a name in a chart is text"
    sizes = tab.locator(".plot text, .plot tspan").evaluate_all(
        "all => all.map(t => parseFloat(getComputedStyle(t).fontSize))"
    )
    assert max(sizes) < 25, "no name has a size of its own"
    watched.check(file, {"#table"})


def test_the_policy_stops_a_script_that_would_get_through(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    script = f"<script>document.title = '{ACTED}'</script><img src='https://evil.example/x.png'>"
    file.write_text(page.render(scored()).replace("</main>", f"{script}</main>", 1), encoding="utf-8")
    watched = Watched(browser, file)
    assert watched.tab.title() != ACTED
    assert sum("Content Security Policy" in error for error in watched.errors) == 2
    assert watched.stopped == {"https://evil.example/x.png": "csp"}


BASELINES = Path(__file__).parents[2] / "results" / "quickstart" / "runs"


def test_the_leaderboard_of_hostile_publications(browser: Any, tmp_path: Path) -> None:
    root = recorded(tmp_path) / "results"
    publication = root / "quickstart" / "grape"
    shutil.copytree(BASELINES, root / "quickstart" / "runs")
    for number, name in enumerate(NAMES):
        other = root / "quickstart" / f"other-{number}"
        shutil.copytree(publication, other)
        text = "".join(f"\\U{ord(character):08x}" for character in name)
        lines = (other / "rule.toml").read_text().splitlines()
        named = [f'{line.split()[0]} = "{text}"' if line.startswith(HOSTILE) else line for line in lines]
        (other / "rule.toml").write_text("\n".join(named))
        write_index(other)
    build(root, tmp_path / "site")
    for file, links in ((tmp_path / "site" / "index.html", {"#board-1", "quickstart/index.html"}),
                        (tmp_path / "site" / "quickstart" / "index.html", {"#table"})):  # fmt: skip
        watched = Watched(browser, file)
        assert "<script>" in watched.tab.inner_text("body")
        watched.check(file, links)
