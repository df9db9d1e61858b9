from grape_bench.report import markdown
from grape_bench.score.table import score
from tests.score.records import make, suite, with_parts


def test_the_whole_text_of_a_small_table() -> None:
    records = [make(rule, s, value + s - 1) for rule, value in [("bp", 90), ("head-only", 60), ("dfa", 75)]
               for s in range(3)]  # fmt: skip
    plain = [with_parts(record, memory=None, profile=None, credit=None) for record in records]
    assert markdown.render(score(plain)) == (
        "### digits-mlp\n"
        "\n"
        "| rule      |          accuracy (n) | credit | gap closed |\n"
        "| --------- | --------------------: | -----: | ---------: |\n"
        "| bp        | **90.00 ± 2.48 (3)†** |   1.00 |       1.00 |\n"
        "| head-only |     60.00 ± 2.48 (3)† |   0.00 |      -1.00 |\n"
        "| dfa       |     75.00 ± 2.48 (3)† |   0.50 |       0.00 |\n"
        "\n"
        "Test accuracy in percent: mean ± 95 % Student-t interval over n seeds. † draft: fewer than 5 seeds. "
        "Bold: the best rule of a task, and rules that do not differ significantly from it "
        "(paired t-test, Holm-adjusted, 5 %). "
        "Credit: 0 is head-only, 1 is BP. Gap closed: 0 is DFA, 1 is BP. Settings: the suite's own, untuned. "
        "Hardware: cpu-x.\n"
    )


def test_all_lines_of_a_table_have_the_same_length() -> None:
    lines = [line for line in markdown.render(score(suite(3))).splitlines() if line.startswith("|")]
    assert len(lines) == 2 * (7 + 2) and len(set(map(len, lines))) == 1


def test_names_cannot_break_the_table() -> None:
    text = markdown.render(score([make("bp"), make("a.py:My_Rule"), make("x|y")]))
    assert "| My\\_Rule" in text and "| x\\|y" in text
