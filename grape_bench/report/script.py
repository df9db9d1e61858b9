"""A recorded job as a plain PyTorch script: the same seeds, batches, steps and test score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from grape_bench.errors import UserError, printable
from grape_bench.plan.numerics import changed
from grape_bench.record.job import NOT_IN_ID, Job
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.record.status import Status

_REPEATED = {"suite", "version", "task", "seed", "rule", "rule_settings", "rule_source", "numerics", "trials"}
_REPEATED |= {"model", "model_args", "dataset", "dataset_args", "objective", "objective_args", "batch_size"}
_REPEATED |= {"blocks", "granularity", "cuts", "optimizer", "schedule", "schedule_args", "warmup", "clip"}
_REPEATED |= {"epochs", "precision", "deterministic", "evaluate_every"}
"""The fields of a job that the script repeats. A job with another field that is not at its default is refused."""

_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
_FACTORS = {
    "constant": "1.0",
    "cosine": "0.5 * (1 + math.cos(math.pi * done / steps))",
    "linear": "1 - done / steps",
    "step": "{gamma} ** sum(done >= share * steps for share in {milestones})",
}
_STEP_ARGS: dict[str, Any] = {"milestones": [0.5, 0.75], "gamma": 0.1}

_SCRIPT = '''\
"""{job} of the suite {suite} {version}, as a plain training loop: {name}.

Recorded: test {metric} = {test!r}, with torch {torch}, CPU threads: {threads}, {cpu}.
Other versions, CPUs or numbers of threads can change the last digits.
"""

{imports}import torch

import grape_bench as gb
from grape_bench import data, models
from grape_bench.job.setup import example_of
from grape_bench.streams import stream_seed
from grape_bench.train.random_state import seed_everything

SEED, EPOCHS, BATCH_SIZE = {seed}, {epochs}, {batch_size}
torch.set_num_threads({threads}){deterministic}

# The data, and the objective: what the model must output, the loss and the metric.
dataset = data.load({dataset}, args={dataset_args}, device=torch.device("cpu"))
objective = gb.make_objective({objective}).bind(dataset)

# The model. Each part of a run has random numbers of its own, so every rule starts from the same weights.
seed_everything(stream_seed(SEED, "init"))
shape, outputs = dataset.shape, objective.size
model = models.build({model}, shape=shape, classes=outputs, args={model_args}, data=dataset)

# The rule. A forward on four samples finds the blocks.
batch, _ = next(iter(dataset.validation.batches(4)))
example = example_of(model, batch)
net = gb.attach(model, {rule}, example, seed=SEED, axis=objective.axis{cuts})

# The optimizer, and the order of the samples.
optimizer = torch.optim.{optimizer}(net.parameter_groups(){optimizer_args})
order = torch.Generator().manual_seed(stream_seed(SEED, "order"))
steps_per_epoch = dataset.train.batch_count(BATCH_SIZE)
net.planned_steps = EPOCHS * steps_per_epoch{schedule}

seed_everything(stream_seed(SEED, "dropout"))
for epoch in range(EPOCHS):
    net.begin_epoch(steps_per_epoch)
    for (args, kwargs), target in dataset.train.batches(BATCH_SIZE, generator=order):

        def loss_of(output, target=target):
            return objective.loss(objective.scored(output, target), target)

        optimizer.zero_grad(set_to_none=True)
        with net.informed(loss_of, target):  # some rules read the loss or the target
            loss = loss_of(model(*args, **kwargs))
            loss.backward()  # the rule fills the gradients{clip}
        optimizer.step(){rate}
    print(f"epoch {{epoch + 1}}: loss of the last batch {{loss.item():.4f}}")

# The test: sums over batches in float64, and the metric of the sums.
model.eval()
tallies = []
with torch.no_grad():
    for (args, kwargs), target in dataset.test.batches(BATCH_SIZE):
        tallies.append(objective.tally(objective.scored(model(*args, **kwargs), target).float(), target))
sums = {{}}
for name in tallies[0]:
    parts = [tally[name] for tally in tallies]
    sums[name] = torch.cat(parts) if name in objective.kept else sum(part.double() for part in parts)
print("test", objective.metric, "=", repr(float(objective.value(sums))))
'''

_SCHEDULE = '''


def rate(done):
    """The factor on the learning rate after `done` steps."""{warmup}
    done, steps = done - {begin}, net.planned_steps - {begin}
    return {factor}


schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)'''
_WARM_UP = """
    if done < {steps}:
        return (done + 1) / {steps}"""
_CLIP = """
        for module in (model, net.owned):  # what the rule owns is clipped by its own norm
            torch.nn.utils.clip_grad_norm_(module.parameters(), {clip})"""


def script(record: Record) -> str:
    """The Python script that repeats the job of `record` bit for bit, on the same CPU, versions and threads.

    Its last line of output is `test METRIC = VALUE`. Raises UserError, which names what the script cannot repeat.
    """
    if unsupported := list(_unsupported(record)):
        what = f"a script cannot repeat this job: {'; '.join(unsupported)}"
        raise UserError(what, where=record.name, hint="grape-bench show without --script")
    job, there = record.job, record.environment
    assert record.result is not None
    objective = _literal(job.objective) if job.objective else "dataset.objective"
    rule, settings = _literal(job.rule), {each.name: getattr(job, each.name) for each in fields(Job)}
    written = {
        **{name: _literal(settings[name]) for name in ("model", "model_args", "dataset", "dataset_args")},
        "objective": objective + _keywords(job.objective_args),
        "rule": f"gb.make_rule({rule}{_keywords(job.rule_settings)})" if job.rule_settings else rule,
        "cuts": _keywords({name: settings[name] for name in ("blocks", "granularity", "cuts") if _is_set(job, name)}),
        "deterministic": "\ntorch.use_deterministic_algorithms(True)" if job.deterministic else "",
        "clip": "" if job.clip is None else _CLIP.format(clip=job.clip),
        "imports": "import math\n\n" if job.schedule == "cosine" else "",
    }
    told = {"suite": job.suite, "version": job.version, "job": str(job), "name": record.name}
    told |= {
        "metric": record.scored_by.name,
        "torch": there.packages.get("torch", "unknown"),
        "cpu": there.hardware.cpu,
    }
    numbers = {"test": record.result.test, "threads": there.hardware.threads}
    return _SCRIPT.format(
        **settings
        | written
        | _optimizer(job.optimizer)
        | _schedule(job)
        | numbers
        | {name: _in_docstring(text) for name, text in told.items()}
    )


def _unsupported(record: Record) -> Iterator[str]:
    """Yield a phrase for each thing that the script cannot repeat."""
    job = record.job
    if record.status is not Status.FINISHED:
        yield f"it ended as {record.status.value}"
    if not record.on_cpu:
        yield "it ran on a GPU"
    if job.rule_name.base == FROZEN:
        yield f"{FROZEN} fits a head instead of training"
    if job.rule_name.file:
        yield f"its rule is a file of your own, {job.rule_name.file}"
    for each in fields(Job):
        if each.metadata["of"] not in NOT_IN_ID and each.name not in _REPEATED and _is_set(job, each.name):
            yield f"{each.name} = {getattr(job, each.name)!r}"
    if job.precision != "fp32":
        yield f"precision = {job.precision!r}"
    name = job.optimizer.get("name", "adamw")
    if name not in _OPTIMIZERS and not name.startswith("torch:"):
        yield f"optimizer {name!r}"
    if job.schedule not in _FACTORS or (job.schedule_args and job.schedule != "step"):
        yield f"schedule {job.schedule!r} with {job.schedule_args}"
    for part, (then, now) in changed(job).items():
        yield f"it ran with version {then} of {part}, and this is version {now}"


def _is_set(job: Job, name: str) -> bool:
    """Whether a field of `job` differs from its default."""
    return bool(getattr(job, name) != Job.__dataclass_fields__[name].default)


def _optimizer(settings: Mapping[str, Any]) -> dict[str, str]:
    """The class in torch.optim, and its arguments."""
    given = {"name": "adamw", **settings}
    name, more, implementation = given.pop("name"), given.pop("args", {}), given.pop("implementation", None)
    arguments = {**given, **({implementation: True} if implementation else {}), **more}
    return {
        "optimizer": _OPTIMIZERS.get(name) or _identifier(name.partition(":")[2]),
        "optimizer_args": _keywords(arguments),
    }


def _schedule(job: Job) -> dict[str, str]:
    """The schedule, and its step. Both are empty for a constant rate."""
    if job.schedule == "constant" and not job.warmup:
        return {"schedule": "", "rate": ""}
    warmup = _WARM_UP.format(steps=job.warmup) if job.warmup else ""
    given = {**_STEP_ARGS, **(job.schedule_args or {})}
    factor = _FACTORS[job.schedule].format(**{name: _literal(value) for name, value in given.items()})
    text = _SCHEDULE.format(warmup=warmup, begin=job.warmup, factor=factor)
    return {"schedule": text, "rate": "\n        schedule.step()"}


def _keywords(arguments: Mapping[str, Any] | None) -> str:
    """`, name=value` for each of `arguments`."""
    return "".join(f", {_identifier(name)}={_literal(value)}" for name, value in (arguments or {}).items())


def _identifier(name: str) -> str:
    """`name`, if it is a Python identifier. Raises UserError otherwise, because a record may be malicious."""
    if not name.isidentifier():
        raise UserError(f"a script cannot repeat this job: {name!r} is no name", where="record.json")
    return name


def _in_docstring(text: str) -> str:
    """`text` without characters that could end a docstring."""
    return printable(text).replace("\\", "/").replace('"', "'")


def _literal(value: Any) -> str:
    """A value of JSON types as Python writes it, with double quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
