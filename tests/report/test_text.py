from grape_bench.report.text import caption, footnotes, printed
from grape_bench.score.labels import labels
from grape_bench.score.quantity import number
from grape_bench.score.table import score
from tests.score.records import failed, make, suite


def test_accuracy_is_written_with_interval_n_and_draft_mark() -> None:
    (accuracy,) = [column for column in printed(score([make("bp")]))[0] if column.is_metric]
    row = {"n": 5, "accuracy": 97.312, "accuracy_ci": 0.25, "draft": False}
    assert accuracy.text(row) == "97.31 ± 0.25 (5)"
    assert accuracy.text({**row, "n": 3, "draft": True}) == "97.31 ± 0.25 (3)†"
    assert accuracy.text({**row, "n": 1, "accuracy_ci": float("nan"), "draft": True}) == "97.31 (1)†"
    assert accuracy.text({"n": 0, "status": "oom 3/3", "accuracy": float("nan")}) == "oom 3/3"


def test_numbers() -> None:
    assert [number(x) for x in (1.005, -0.001, -1.5, float("nan"))] == ["1.00", "0.00", "-1.50", "–"]


def test_a_column_is_shown_only_if_the_table_has_it() -> None:
    scores, words = ([column.heading for column in part] for part in printed(score(suite(3))))
    assert scores == [
        "rule", "accuracy (n)", "credit", "gap closed", "step ÷ BP", "memory ÷ BP", "BP fraction",
    ]  # fmt: skip
    assert words == ["rule", "vs BP", "vs DFA", "vs control", "entrant"]
    bare = score([make("bp", credit=None), make("fa", credit=None, memory=None, profile=None)])
    assert [[column.heading for column in part] for part in printed(bare)] == [
        ["rule", "accuracy (n)", "credit"],
        ["rule", "vs BP"],
    ]


def test_a_rule_from_a_file_is_labeled_by_its_class_if_that_is_unique() -> None:
    assert labels(["dfa", "x/my.py:Mine"]) == {"dfa": "dfa", "x/my.py:Mine": "Mine"}
    assert set(labels(["a.py:Mine", "x/b.py:Mine"]).values()) == {"a.py:Mine", "x/b.py:Mine"}
    assert labels(["dfa", "my.py:dfa"]) == {"dfa": "dfa", "my.py:dfa": "my.py:dfa"}


def test_the_caption_names_interval_draft_and_hardware() -> None:
    draft, final = caption(score(suite(3))), caption(score(suite(5)))
    assert "95 % Student-t interval over n seeds" in draft and "Hardware: cpu-x." in draft
    assert "fewer than 5 seeds" in draft and "fewer than 5 seeds" not in final


def test_the_caption_says_if_settings_were_tuned() -> None:
    assert "Settings: the suite's own, untuned." in caption(score([make("bp")]))
    tuned = caption(score([make("bp", trials=8)]))
    assert "Settings: the best of 8 trials for each rule, chosen on validation." in tuned


def test_footnotes_list_failures_and_ratios_that_cannot_be_compared() -> None:
    records = [make("bp"), make("fa", 0), failed("fa", 1, "crashed"), failed("dfa", 0, "oom")]
    notes = footnotes(score([*records, make("x.py:New", hardware="gpu-y")]))
    assert notes[0] == "digits-mlp, fa: crashed 1/2"  # the cell of dfa already shows its status
    assert len(notes) == 2 and "different hardware" in notes[1]
