from grape_bench.report import markdown
from grape_bench.score.table import score
from tests.score.records import make, suite, with_parts


def test_the_whole_text_of_a_small_table() -> None:
    records = [make(rule, s, value + s - 1) for rule, value in [("bp", 90), ("frozen", 60), ("dfa", 75)]
               for s in range(3)]  # fmt: skip
    plain = [with_parts(record, memory=None, profile=None, credit=None) for record in records]
    assert markdown.render(score(plain)) == (
        "### digits-mlp\n"
        "\n"
        "| rule   |      accuracy (n) | credit | gap closed |\n"
        "| ------ | ----------------: | -----: | ---------: |\n"
        "| bp     | 90.00 ± 2.48 (3)† |   1.00 |       1.00 |\n"
        "| frozen | 60.00 ± 2.48 (3)† |   0.00 |      -1.00 |\n"
        "| dfa    | 75.00 ± 2.48 (3)† |   0.50 |       0.00 |\n"
        "\n"
        "| rule   | vs BP | vs DFA | vs control |\n"
        "| ------ | ----- | ------ | ---------- |\n"
        "| bp     | –     | better | better     |\n"
        "| frozen | worse | worse  | –          |\n"
        "| dfa    | worse | –      | better     |\n"
        "\n"
        "best: bp; resolved below it: frozen, dfa\n"
        "\n"
        "Test accuracy in percent: mean ± 95 % Student-t interval over n seeds. † draft: fewer than 5 seeds. "
        "Credit: 0 is frozen, 1 is BP. Gap closed: 0 is DFA, 1 is BP. Settings: the suite's own, untuned. "
        "Scores: version 2. "
        "Better, worse: the paired t-test finds a difference (Holm over the references of the row, 5 %); "
        "tied: the 90 % interval lies within the margin, 0.1 (BP - frozen) unless the suite sets another; "
        "n too small: neither, with the seeds that would settle it in brackets. "
        "Control: frozen, a converged head on untrained hidden layers. Hardware: cpu-x.\n"
    )


def test_all_lines_of_a_table_have_the_same_length() -> None:
    lines = [line for line in markdown.render(score(suite(3))).splitlines() if line.startswith("|")]
    assert len(lines) == 4 * (8 + 2)


def test_names_cannot_break_the_table() -> None:
    text = markdown.render(score([make("bp"), make("a.py:My_Rule"), make("x|y")]))
    assert "| My\\_Rule" in text and "| x\\|y" in text
