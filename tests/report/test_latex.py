import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from grape_bench.report import latex
from grape_bench.score.table import score
from tests.score.records import failed, make, suite

AWKWARD = '50%_a&b#{x}~^\\é"<|>'


def test_words_n_interval_and_hardware() -> None:
    text = latex.render(score(suite(5, ("digits-mlp",))), "quickstart 1.0")
    assert r"fa & worse & better & better" in text and text.count(r"\begin{tabular}{l") == 2
    assert r"\label{tab:quickstart-1-0}" in text
    caption = re.search(r"\\caption\[{quickstart 1.0}\]{(.*)}\n", text).group(1)  # type: ignore[union-attr]
    assert r"mean $\pm$ 95 \% Student-t interval over n seeds. Credit: 0 is frozen, 1 is BP." in caption
    assert "(5)" in text


def test_open_rows_are_marked() -> None:
    text = latex.render(score([*suite(5), make("bp:open", task="digits-mlp", open_by="J. Roe & co")]), "quickstart")
    assert r"bp:open\S{} & " in text and r"\S{} open settings by J. Roe \& co (bp)" in text


def test_the_caption_is_short_and_the_notes_have_the_rest() -> None:
    table = score(suite(5, ("digits-mlp",)))
    caption = re.search(r"\\caption\[.*\]{(.*)}\n", latex.render(table, "q")).group(1)  # type: ignore[union-attr]
    assert len(caption.split()) <= 70 and "Holm" not in caption and "Hardware" not in caption
    notes = latex.notes(table)
    assert "Hardware: cpu-x" in notes and "Holm over the references" in notes and "digits-mlp: best: bp" in notes


def test_special_characters() -> None:
    assert latex.escape("50 % ± 3 ÷ a_b†–") == r"50 \% $\pm$ 3 $\div$ a\_b$^\dagger$--"
    assert latex.escape("étage") == "étage", "pdflatex composes it"
    assert latex.escape("规则一") == "[89c4 5219 4e00]" != latex.escape("规则二")


@pytest.mark.system
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(tmp_path: Path) -> None:
    assert "Overfull" not in compiled(tmp_path, score(suite(3)))
    records = [*suite(3), make(f"my.py:{AWKWARD}", task="digits-mlp"), failed("usf", 0, "oom")]
    assert "Missing character" not in compiled(tmp_path, score(records))


def compiled(folder: Path, table: pd.DataFrame) -> str:
    (folder / "table.tex").write_text(latex.render(table, "quickstart 1.0"))
    (folder / "table-notes.tex").write_text(latex.notes(table))
    inside = r"\begin{document}\listoftables\input{table}\input{table-notes}\end{document}"
    document = r"\documentclass{article}\usepackage{booktabs}" + inside
    (folder / "document.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout
