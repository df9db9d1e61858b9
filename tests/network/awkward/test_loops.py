"""Things that training loops do: accumulate, interleave, evaluate, vary the batch."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import grape_bench as gb
from grape_bench import UserError
from grape_bench.attachment import attached, unwrapped
from tests.network.awkward.comparison import RULES, X, assert_same, attach, expected_of, gradients, vit
from tests.network.problems import BY_NAME, loss_of, tanh_mlp


def weighted_loss(logits, rows):
    """A loss whose sum over parts of the batch is that of the whole."""
    weights = torch.linspace(-1, 1, 4 * logits.shape[1]).reshape(4, -1)[rows]
    return (logits.log_softmax(-1) * weights).sum()


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa"])
@pytest.mark.parametrize("order", ["backward after each forward", "two forwards first", "one backward of the sum"])
def test_gradients_of_parts_add_up_to_those_of_the_batch(rule, order):
    """GrAPE's feedback learns between the parts, by design, so its gradients differ."""
    model = vit()
    attach(model, rule)
    weighted_loss(model(X), slice(0, 4)).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    losses = []
    for rows in (slice(0, 1), slice(1, 4)):
        losses.append(weighted_loss(model(X[rows]), rows))
        if order == "backward after each forward":
            losses.pop().backward()
    if order == "one backward of the sum":
        losses = [sum(losses)]
    for loss in reversed(losses):
        loss.backward()
    assert_same({name: p.grad for name, p in model.named_parameters()}, expected, tolerance=1e-4)


def test_grape_sends_each_error_of_two_forwards_to_its_own_samples():
    """With the feedback that the second forward has left, as DFA with that feedback."""
    found, model = [], vit()
    attach(model, "grape")
    for rule in ("grape", "dfa"):
        if rule == "dfa":
            state = {name: value.clone() for name, value in model.state_dict().items()}
            model = vit()
            attach(model, rule)
            model.load_state_dict(state)
        losses = [weighted_loss(model(X[rows]), rows) for rows in (slice(0, 2), slice(2, 4))]
        sum(losses).backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
    assert_same(found[0], found[1], tolerance=1e-4)


@pytest.mark.parametrize("rule", [*RULES, "grape+anchor"])
def test_evaluation_between_steps_changes_nothing(rule):
    x, found = torch.randn(8, 6), []
    for evaluate in (False, True):
        torch.manual_seed(0)
        model = tanh_mlp()
        net = gb.attach(model, rule, x, seed=1)
        net.begin_epoch(batches=4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            if evaluate:
                model.eval()
                with torch.no_grad():
                    model(x)
                with torch.inference_mode():
                    model(x)
                model.train()
            optimizer.zero_grad()
            loss_of(model(x)).backward()
            optimizer.step()
        found.append(dict(model.state_dict()))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("rule", ["grape", "grape+refit", "fdfa", "wm", "dfa+anchor", "dfa+finish"])
def test_a_step_in_evaluation_mode_is_a_training_step(rule):
    """As in fine-tuning without dropout: the feedback learns, and anchors and the finish come when they are due."""
    x, found = torch.randn(8, 6), []
    for training in (True, False):
        torch.manual_seed(0)
        model = tanh_mlp().train(training)
        net = gb.attach(model, rule, x, seed=1)
        net.planned_steps = 4
        net.begin_epoch(batches=4)
        optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model(x)).backward()
            optimizer.step()
        found.append(dict(model.state_dict()))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("rule", ["fa", "dfa", "grape"])
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_sequences_of_any_length_through_one_attachment(rule, name):
    """A score per token, or one per sequence."""
    model = BY_NAME[name].model().train()
    attach(model, rule, {"input_ids": torch.randint(3, 60, (2, 6))})
    for length in (3, 9):
        model.zero_grad()
        loss_of(model(input_ids=torch.randint(3, 60, (2, length)))).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("rule", ["dfa", "grape"])
def test_feedback_that_does_not_fit_a_batch_is_an_error(rule):
    """An example with as many source as target tokens makes an encoder's feedback token by token."""
    model, ids = BY_NAME["t5"].model().train(), torch.randint(3, 60, (3, 6))
    attach(model, rule, {"input_ids": ids, "decoder_input_ids": ids})
    with pytest.raises(UserError, match="the feedback was drawn for another shape"):
        loss_of(model(input_ids=ids, decoder_input_ids=ids[:, :4])).backward()


@pytest.mark.parametrize("rule", RULES)
def test_blocks_outside_of_their_model_are_refused_with_a_graph(rule):
    """Otherwise backpropagation would run through them silently."""
    model = vit()
    attach(model, rule)
    with torch.no_grad():
        model.forward_features(X)
    with pytest.raises(UserError, match=r"block 'blocks.0' was called without its model"):
        model.forward_features(X)


def test_a_model_within_another_is_attached_by_itself():
    class Recogniser(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = vit()

        def forward(self, x):
            return 2 * self.backbone(x)

    whole = Recogniser()
    net = attach(whole.backbone, "dfa")
    loss_of(whole(X)).backward()
    assert net.bp_fraction == 0 and net.counts.backward == 1


def test_a_data_parallel_model_is_attached_inside(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = vit()
        parallel = DistributedDataParallel(model)
        net = attach(parallel, "dfa")
        assert unwrapped(parallel) is net.model is model and attached(parallel) is net
        assert_same(gradients(model, call=parallel), expected_of("dfa"))
    finally:
        torch.distributed.destroy_process_group()
