"""Who follows a training is told of everything, in order."""

from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.train.loop import Observer
from tests.job.jobs import job


def test_observers_are_told_of_steps_and_epochs_with_the_position():
    spec = job(batch_size=512)
    data = load_data(spec, pick_device())
    trainer = make_trainer(spec, build_model(spec, data, pick_device()), data, spec.rule, spec.rule_settings)
    told = []

    class Log(Observer):
        def training_begins(self, trainer):
            told.append("training")

        def epoch_begins(self, trainer):
            told.append(("epoch", trainer.position.epochs))

        def step_begins(self, trainer, batch, target):
            told.append(len(target))

        def step_done(self, trainer):
            told.append((trainer.position.steps, trainer.position.samples))

        def epoch_ends(self, trainer):
            told.append(("row", trainer.rows[-1]["epoch"], trainer.position.steps))

    trainer.observers.append(Log())
    trainer.train()
    first = [("epoch", 0), 512, (1, 512), 512, (2, 1024), ("row", 1, 0)]
    second = [("epoch", 1), 512, (1, 1536), 512, (2, 2048), ("row", 2, 0)]
    assert told == ["training", *first, *second]
