"""The suite of GrAPE's tables at the size of the paper: what it plans, and that its smallest task starts."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu_all import with_tasks
from grape_bench.models.names import check_name
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import NO_OVERRIDES
from tests.cli.small_suite import command
from tests.data.sources import write_folder

SUITE = Path(__file__).parents[2] / "suites" / "paper-full.toml"
RULES = ["bp", "fa", "dfa", "dfa+anchor", "grape", "grape+anchor", "frozen", "head-only"]
ROWS = {  # task -> the model and the data set of a row of the paper's tables
    "mnist-cnn": ("cnn", "mnist"),
    "cifar10-cnn": ("cnn", "cifar10"),
    "cifar100-cnn": ("cnn", "cifar100"),
    "cifar100-alexnet": ("torchvision:alexnet", "cifar100"),
    "cifar100-vgg16": ("torchvision:vgg16_bn", "cifar100"),
    "cifar100-resnet20": ("resnet20", "cifar100"),
    "cifar100-resnet56": ("resnet56", "cifar100"),
    "wikitext103-macro": ("transformer", "wikitext103"),
    "wikitext103-micro": ("transformer", "wikitext103"),
}


def test_it_plans_every_row_of_the_papers_tables_with_every_rule_and_five_seeds():
    jobs = make_plan(str(SUITE), NO_OVERRIDES).jobs
    assert {job.task: (job.model, job.dataset) for job in jobs} == ROWS
    assert sorted((job.task, job.rule, job.seed) for job in jobs) == sorted(
        (task, rule, seed) for task in ROWS for rule in RULES for seed in range(5)
    )
    for model, _ in ROWS.values():
        check_name(model)


def test_macro_and_micro_differ_in_where_the_network_is_cut_alone():
    jobs = {(job.task, job.rule): job.to_dict() for job in make_plan(str(SUITE), NO_OVERRIDES).jobs if not job.seed}
    for rule in RULES:
        macro, micro = (jobs[f"wikitext103-{cut}", rule] for cut in ("macro", "micro"))
        different = {key for key in macro.keys() | micro.keys() if macro.get(key) != micro.get(key)}
        assert different == {"task", "granularity"}
        assert micro["granularity"] == "layer"


@pytest.mark.slow
def test_one_epoch_of_its_smallest_task_runs(tmp_path, monkeypatch):
    write_folder(tmp_path / "data" / "mnist", size=(28, 28), train=100, test=20)
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRAPE_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    suite = with_tasks(SUITE, ("mnist-cnn",), tmp_path)
    rules = ["bp", "grape+anchor", "frozen"]
    options = [word for rule in rules for word in ("--only", rule)]
    options += ["--seeds", "1", "--set", "task.epochs=1", "--set", "task.batch_size=16", "--tracking-uri", "none"]
    done = command("run", str(suite), *options)
    assert done.exit_code == 0, done.output
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/paper-full/*/record.json")]
    assert sorted(record["job"]["rule"] for record in records) == sorted(rules)
    assert {record["status"] for record in records} == {"finished"}
