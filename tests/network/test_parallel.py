"""Streams on a stand-in for CUDA: who runs where, who waits for whom, what lives until when. The GPU's own part of
it, autograd's streams, is checked by benchmarks/gpu.py."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge, saved_tensors_hooks

import grape_bench as gb
from grape_bench.network import parallel
from grape_bench.network.parallel import backward_of, parallel_backward
from grape_bench.network.passes import CutPass
from grape_bench.network.preserve import preserved
from grape_bench.network.trace import as_batch
from tests.network.problems import BY_NAME, loss_of, tanh_mlp


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "head-only", "grape-lazy"])
def test_gradients_are_those_of_an_ordinary_step(rule, fake_cuda):
    model, batch = tanh_mlp().train(), as_batch(torch.randn(8, 6))
    net = gb.attach(model, rule, batch[0])
    loss_of(model(*batch[0])).backward()
    expected = gradients(model)
    model.zero_grad()
    net.rule._forwards = 1  # the next batch's feedback is the same

    loss = parallel_backward(net, batch, loss_of)

    assert not loss.requires_grad
    assert gradients(model).keys() == expected.keys()
    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients(model).items())


@pytest.mark.parametrize("name", ["resnet18", "vit", "gpt2", "t5"])
def test_any_model_goes_back_on_streams(name, fake_cuda):
    model, batch = BY_NAME[name].model().train(), as_batch(BY_NAME[name].batch())
    net = gb.attach(model, "dfa", batch[1] or batch[0])
    with preserved(model):
        loss_of(model(*batch[0], **batch[1])).backward()
    expected = gradients(model)
    model.zero_grad()

    parallel_backward(net, batch, loss_of)

    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients(model).items())
    assert fake_cuda.now is fake_cuda.main


class Watched(CutPass):
    """Notes at each cut and at the join on which stream it happens."""

    def __init__(self, signal, cuda):
        super().__init__(signal)
        self.cuda, self.moments = cuda, []

    def cut(self, block, output):
        self.moments.append(self.cuda.now.tick())
        return super().cut(block, output)

    def join(self, logits):
        self.moments.append(self.cuda.now.tick())
        return super().join(logits)


def test_each_block_has_a_stream_that_waits_for_the_one_before(fake_cuda):
    model = tanh_mlp((6, 7, 5, 4, 3))
    net = gb.attach(model, "dfa", torch.randn(8, 6))
    begun = []
    for block in net.blocks:
        first = model[int(block.name) - 1]  # a block is a linear map and its tanh
        first.register_forward_pre_hook(lambda *_: begun.append((fake_cuda.now, dict(fake_cuda.now.clock))))
    head = []
    model[-1].register_forward_pre_hook(lambda *_: head.append(fake_cuda.now))
    earlier = fake_cuda.main.tick()
    pass_ = Watched(net.rule.signal, fake_cuda)
    backward_of(net, pass_, as_batch(torch.randn(8, 6)), loss_of)

    *cuts, join = pass_.moments
    streams = [stream.number for stream, _ in begun]
    assert len(set(streams)) == 3
    assert fake_cuda.main.number not in streams
    assert [number for number, _ in cuts] == streams  # the token, and so the signal, belongs to the block's stream
    assert join[0] == fake_cuda.main.number
    assert head == [fake_cuda.main]
    for (_, clock), (number, time) in zip(begun, [earlier, *cuts[:-1]], strict=True):
        assert clock[number] >= time
    assert fake_cuda.main.after(cuts[-1])


def test_blocks_take_turns_on_a_few_streams(fake_cuda):
    net = gb.attach(tanh_mlp((6, *[5] * 12, 3)), "dfa", torch.randn(8, 6))
    pass_ = Watched(net.rule.signal, fake_cuda)
    backward_of(net, pass_, as_batch(torch.randn(8, 6)), loss_of)

    cuts = [number for number, _ in pass_.moments[:-1]]
    assert len(cuts) == 12
    assert cuts[: parallel.BRANCHES] == cuts[parallel.BRANCHES :] + cuts[4 : parallel.BRANCHES]


def test_the_caller_waits_for_every_block(fake_cuda):
    net = gb.attach(tanh_mlp(), "dfa", torch.randn(8, 6))
    last = []

    def signal(block, error):
        last.extend(stream.tick() for stream in parallel.cuda_streams(net.device, 2))
        return torch.zeros_like(block.output)

    backward_of(net, CutPass(signal), as_batch(torch.randn(8, 6)), loss_of)

    assert last
    assert all(fake_cuda.main.after(moment) for moment in last)


class Saved:
    """What autograd has saved."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_saved_activations_live_until_the_streams_are_joined_and_no_longer(fake_cuda, monkeypatch):
    """Freed earlier, a stream could reuse memory that another one still reads; later, the next step's graph would
    keep this one's streams."""
    net = gb.attach(tanh_mlp(), "dfa", torch.randn(8, 6))
    saved, alive = [], []

    def pack(tensor):
        held = Saved(tensor.detach())
        saved.append(weakref.ref(held))
        return held

    join = parallel.ParallelPass.join_streams

    def join_streams(pass_):
        alive.extend(held() is not None for held in saved)
        join(pass_)

    monkeypatch.setattr(parallel.ParallelPass, "join_streams", join_streams)
    gc.disable()
    try:
        with saved_tensors_hooks(pack, lambda held: held.tensor):
            parallel_backward(net, as_batch(torch.randn(8, 6)), loss_of)
        assert alive
        assert all(alive)
        assert not any(held() for held in saved)
    finally:
        gc.enable()


def test_no_gradient_accumulator_is_left_after_attaching_or_a_step(fake_cuda):
    """It would keep the stream that it was made on, and a capture would stumble over it."""
    model, batch = tanh_mlp(), as_batch(torch.randn(8, 6))

    kept = []  # until the forward's graph holds them

    def mark(*_):
        kept.extend(get_gradient_edge(parameter).node for parameter in model.parameters())
        for node in kept:
            node.metadata["seen"] = True

    def marked():
        kept.clear()
        return ["seen" in get_gradient_edge(parameter).node.metadata for parameter in model.parameters()]

    gc.disable()
    try:
        model.register_forward_pre_hook(mark)
        net = gb.attach(model, "dfa", batch[0])
        assert not any(marked())
        parallel_backward(net, batch, loss_of)
        assert not any(marked())
        held = loss_of(model(*batch[0]))
        assert all(marked())  # while its loss is held, a graph keeps them
        del held
    finally:
        gc.enable()


def test_an_error_in_the_model_leaves_the_callers_stream(fake_cuda):
    class Failing(nn.Module):
        def forward(self, x):
            if x.shape[0] == 3:
                raise ArithmeticError
            return x

    model = tanh_mlp()
    model.insert(3, Failing())
    net = gb.attach(model, "dfa", torch.randn(8, 6))
    with pytest.raises(ArithmeticError):
        parallel_backward(net, as_batch(torch.randn(3, 6)), loss_of)
    assert fake_cuda.now is fake_cuda.main


def test_streams_need_cuda():
    net = gb.attach(tanh_mlp(), "dfa", torch.randn(8, 6))
    with pytest.raises(gb.UserError, match="needs CUDA, and the model is on cpu"):
        parallel_backward(net, as_batch(torch.randn(8, 6)), loss_of)
