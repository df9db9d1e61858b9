import json
import re
from typing import Any

from grape_bench.report import page
from grape_bench.report.page.data import data
from grape_bench.report.text import on_page
from grape_bench.score.results import results
from grape_bench.score.table import score
from tests.report.curves import curves
from tests.report.runs import diagnostics, with_flops
from tests.score.records import failed, make, suite

NASTY = "my.py:</script><b>"


def embedded(text: str) -> Any:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))  # type: ignore[union-attr]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    text = page.render(results(suite(2)))
    ours = text.replace(page._asset("vendor/plotly-basic.min.js"), "")
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", ours)
    assert text.count("<script") == 3 and "plotly.js (basic" in text


def test_names_cannot_inject_html() -> None:
    records = [*suite(2, ("t",)), make(NASTY, 0, 50.0, task="t")]
    text = page.render(results(records, curves(records)))
    assert "<b>" not in text.replace(page._asset("vendor/plotly-basic.min.js"), "")
    assert [rule["name"] for rule in embedded(text)["rules"]][-1] == "</script><b>"
    inside = text.partition('id="data">')[2].partition("</script>")[0]
    assert not set("<>&") & set(inside)  # no character with a meaning in HTML


def test_charts_and_table_show_the_same_data() -> None:
    records = with_flops([make("bp", s, 90.0 + s) for s in range(3)] + [make("fa", 0, 70.0), failed("usf", 0, "oom")])
    (task,) = data(results(records, curves(records)))["tasks"]
    assert task["rules"]["bp"]["mean"] == 91 and task["rules"]["bp"]["seeds"] == [90, 91, 92]
    assert task["rules"]["fa"]["half"] is None and task["rules"]["fa"]["costs"]["flops_ratio"] == 0.8
    assert len(task["rules"]["fa"]["curve"]["samples"]) == 20
    assert "usf" not in task["rules"]  # it has no result; the table says why


def test_curves_end_where_the_first_seed_ends() -> None:
    records = [make("bp", 0), make("bp", 1)]
    by_id = curves(records)
    by_id[records[1].id] = by_id[records[1].id].head(4)
    (task,) = data(results(records, by_id))["tasks"]
    assert task["rules"]["bp"]["curve"]["epoch"] == [1, 2, 3, 4]


def test_open_rows_are_marked_in_the_table_and_not_ranked() -> None:
    opened = [make("bp:open", seed, 99.0, open_by="<b>", task="digits-mlp") for seed in range(3)]
    found = results([*suite(3), *opened])
    text = page.render(found)
    assert text.count(">bp:open§<") == 1 and "§ open settings by &lt;b&gt; (bp)" in text
    assert "8 learning rules" in text and "bp:open" not in page.better(found).columns
    assert {rule["id"]: rule["ranked"] for rule in data(found)["rules"] if "bp" in rule["id"]} == {
        "bp": True,
        "bp:open": False,
    }


def test_matrices() -> None:
    records = [make("bp", s, 90.0 + s) for s in range(2)] + [make("fa", s, 80.0 + 11 * s) for s in range(2)]
    found = page.better(results(records))
    assert found.columns == ["mean rank", "bp", "fa"]
    # fa is ahead by half a point on average of seeds 0 (80 against 90) and 1 (91 against 91: a tie).
    assert [name for name, _ in found.rows] == ["bp", "fa"]
    assert [entry.text for entry in found.rows[0][1]] == ["1.0", "", "75"] and found.rows[0][1][2].strength == 0.5


def test_alignment_at_the_end_stands_beside_random_feedback() -> None:
    records = [make("bp"), make("dfa")]
    scored = results(records, diagnostics={records[1].id: diagnostics(0.6)})
    aligned = page.alignment(scored, "digits-mlp")
    assert aligned.columns == ["blocks.0", "blocks.1"]
    assert [(name, [entry.text for entry in entries]) for name, entries in aligned.rows] == [
        ("dfa", ["0.60", "0.60"]),
        ("random feedback", ["0.10", "0.10"]),
    ]
    line = data(scored)["tasks"][0]["rules"]["dfa"]["alignment"]
    assert line["samples"] == [1000, 2000, 3000] and line["mean"] == [0.2, 0.4, 0.6] and line["null"] == [0.1] * 3


def test_the_score_and_the_verdict_come_first() -> None:
    columns = [item.column.name for item in on_page(score([make("bp"), make("dfa")]).assign(verdict="trained"))]
    assert columns[:6] == ["rule", "task", "accuracy", "verdict", "credit", "vs_bp"]


def test_a_single_job_makes_a_page() -> None:
    for record in (make("bp"), failed("bp", 0, "crashed")):
        text = page.render(results([record]))
        assert "<h2" in text and "All tasks together" not in text and "Who beats whom" not in text
