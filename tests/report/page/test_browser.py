"""The page in a real browser: the system's Chromium, headless."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grape_bench.publish.pack import About, pack
from grape_bench.publish.site import build
from grape_bench.report import page
from grape_bench.score.results import results
from tests.publish.test_verify import RECORDED
from tests.report.curves import curves
from tests.report.runs import diagnostics, with_flops
from tests.score.records import failed, make, suite, with_parts

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
LONG = "a/file.py:AVeryLongNameOfARuleOfMyOwn"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = [*with_flops(suite(5)), make(LONG, 0, 91.0), failed("usf", 0, "oom")]
    measured = {r.id: diagnostics(0.5) for r in records if r.rule in ("dfa", "grape")}
    moments = {"moments": 3, "growth": 1.0, "gain": 1.0}
    records = [with_parts(r, diagnostics=moments) if r.result and r.rule != "frozen" else r for r in records]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page.render(results(records, curves(records), measured)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """Opens the page offline. Fails if it logs an error to the console or requests another file."""
    contexts, troubles = [], []

    def open_page(width: int = 1280, scheme: str = "light", **more: Any) -> Any:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True, **more)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url),
        )
        tab.goto(file.as_uri())
        return tab

    yield open_page
    assert troubles == []
    for context in contexts:
        context.close()


def rules_of(tab: Any) -> list[str]:
    return tab.locator("#results tbody tr:visible th").all_inner_texts()


def test_every_plot_is_drawn(opened: Any) -> None:
    tab = opened()
    plots = tab.locator(".plot:visible")
    assert plots.count() == 2 + 2 + 2 + 2 + 1  # ends, curves, cost and alignment of two tasks, one profile
    for i in range(plots.count()):
        assert plots.nth(i).locator(".trace, .points path, .js-line").count() >= 3, i
        assert plots.nth(i).get_attribute("aria-label")
    assert tab.locator(".matrix").count() == 1 + 2  # who beats whom; alignment on two tasks


def test_sorting(opened: Any) -> None:
    tab = opened()
    unsorted = rules_of(tab)
    header = tab.locator("#results thead th", has_text="Credit")
    header.get_by_role("button").click()
    values = tab.locator("#results tbody tr").evaluate_all(
        "(rows, i) => rows.map(row => row.cells[i].dataset.value)", header.evaluate("th => th.cellIndex")
    )
    numbers = [float(value) for value in values if value]
    assert header.get_attribute("aria-sort") == "descending" and numbers == sorted(numbers, reverse=True)
    assert values[-1] == "" and len(numbers) < len(values)  # the rule without a result is last
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending" and rules_of(tab) != unsorted
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "none" and rules_of(tab) == unsorted


def test_filtering(opened: Any) -> None:
    tab = opened()
    tab.get_by_label("Find a rule").fill("ANCHOR")
    assert set(rules_of(tab)) == {"dfa+anchor", "grape+anchor"}
    assert tab.locator("#shown").inner_text() == "4 of 18 rows shown"
    tab.locator("#task").select_option("digits-vit")
    assert len(rules_of(tab)) == 2 and tab.locator("[data-chart=ends] .plot:visible").count() == 1
    tab.get_by_role("button", name="Show all").click()
    tab.get_by_role("button", name="fa", exact=True).press("Space")
    assert "fa" not in rules_of(tab) and len(rules_of(tab)) == 16
    lines = tab.locator("[data-chart=curves] .plot").first.locator(".js-line")
    assert lines.count() == 8  # of the task's nine rules with a result
    while tab.locator(".chip[aria-pressed=true]").count():
        tab.locator(".chip[aria-pressed=true]").first.click()
    assert tab.locator(".plot:visible").count() == 0 and tab.locator(".empty:visible").count() == 9


def test_axes_of_curves_and_cost(opened: Any) -> None:
    tab = opened()
    tab.locator("#axis").select_option("seconds")
    tab.locator("#cost").select_option("flops_ratio")
    titles = tab.locator(".plot .xtitle").all_text_contents()
    assert titles.count("seconds of training") == 2 and titles.count("FLOPs of a training step ÷ BP's") == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_the_screen_and_axe_finds_nothing_serious(opened: Any, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    tab = opened(width, scheme)
    tab.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(tab).response["violations"]
    assert [
        (v["id"], v["impact"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_leaderboard_too(opened: Any, scheme: str, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    pack(RECORDED, "grape", tmp_path / "results", About(paper="A paper with a rather long title, by many, 2026"))
    shutil.copytree(RECORDED, tmp_path / "results" / "vision-small" / "runs")
    build(tmp_path / "results", tmp_path / "site")
    tab = opened(360, scheme)
    tab.goto((tmp_path / "site" / "index.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert seen(tab, ".overview tbody .first") and seen(tab, ".overview tbody .first + .num"), "rule and mean credit"
    rows = tab.locator(".overview tbody tr:visible")
    everything = rows.count()
    tab.get_by_label("needs no weight transport").check()
    tab.get_by_label("Family").select_option("direct feedback")
    assert 0 < rows.count() < everything and tab.locator("#shown").inner_text().endswith(f"of {everything} rows shown")
    found = axe.Axe().run(tab).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
    tab.locator("h2").get_by_role("link", name="vision-small").click()
    assert tab.locator(".badge.recomputed").count() == 1 and tab.locator(".plot:visible").count() == 9


def test_dark_by_system_and_by_button(opened: Any) -> None:
    tab = opened(scheme="dark")
    color = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(color)
    tab.get_by_role("button", name="Dark").click()
    light = tab.evaluate(color)
    assert dark != light and light == opened().evaluate(color)


def test_everything_is_reachable_by_keyboard(opened: Any) -> None:
    tab = opened()
    reached = set()
    for _ in range(120):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"theme", "task", "find", "all", "Rule", "Credit", "axis", "cost", "Numbers: digits-vit"} <= reached


def seen(tab: Any, selector: str) -> bool:
    """Whether an element lies within what the scrolling region of the results shows at first, whole and uncovered."""
    found: bool = tab.locator(selector).first.evaluate(
        """element => {
          const [box, room] = [element.getBoundingClientRect(), element.closest(".scroll").getBoundingClientRect()];
          return box.width > 0 && box.left >= room.left && box.right <= room.right + 0.5;
        }"""
    )
    return found


@pytest.mark.parametrize("rule", ["bp", LONG])
def test_the_score_and_the_verdict_are_seen_without_a_scroll(opened: Any, rule: str) -> None:
    shown = {1280: ("task", "accuracy", "verdict", "credit", "vs_bp", "vs_dfa"), 360: ("accuracy", "verdict")}
    for width, columns in shown.items():
        tab = opened(width)
        row = f"#results tbody tr[data-rule='{rule}']"
        assert seen(tab, f"{row} .first") and [name for name in columns if not seen(tab, f"{row} .{name}")] == []
        assert tab.locator(f"{row} .first small").first.is_visible() == (width == 360)  # it names the task
        edges = [tab.locator(f"{row} {cell}").first.bounding_box() for cell in (".first", ".accuracy")]
        assert edges[0]["x"] + edges[0]["width"] <= edges[1]["x"] + 1, "the first column lies over the score"


def test_a_legend_names_every_line(opened: Any) -> None:
    tab = opened()
    for kind in ("curves", "profile", "tradeoff", "alignment"):
        names = tab.locator(f"[data-legend={kind}] li").all_inner_texts()
        drawn = tab.locator(f"[data-chart={kind}] .plot").evaluate_all(
            "plots => [...new Set(plots.flatMap(plot => plot.data.map(trace => trace.name)))]"
        )
        assert set(drawn) - {"staircase", "random feedback"} == set(names) and names
    assert tab.locator("[data-legend=curves] li svg polygon").count() > 2
    tab.get_by_role("button", name="grape", exact=True).click()
    assert "grape" not in tab.locator("[data-legend=curves] li").all_inner_texts()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_name_lies_over_a_marker_or_another_name(opened: Any, width: int) -> None:
    tab = opened(width)
    overlaps = tab.locator("[data-chart=tradeoff] .plot").evaluate_all(
        """plots => plots.flatMap(plot => {
          const box = element => element.getBoundingClientRect();
          const names = [...plot.querySelectorAll(".textpoint text")].filter(text => text.textContent);
          const marks = [...plot.querySelectorAll(".points path.point")];
          const meet = (a, b) => a.left + 1 < b.right && a.top + 2 < b.bottom;
          const over = (a, b) => meet(a, b) && meet(b, a);
          return names.flatMap((name, i) => [...names.slice(i + 1), ...marks]
            .filter(other => over(box(name), box(other))).map(other => [name.textContent, other.textContent]));
        })"""
    )
    assert overlaps == []


def test_touch_scrolls_over_charts(opened: Any) -> None:
    tab = opened(360, has_touch=True, is_mobile=True)
    assert tab.locator(".plot").first.evaluate("plot => plot.layout.dragmode") is False
