import subprocess
import sys


def test_scores_and_tables_load_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, grape_bench.score.table, grape_bench.report.terminal, grape_bench.report.markdown, "
        "grape_bench.report.csv, grape_bench.cli.report; "
        "print(sorted({'torch', 'matplotlib', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
