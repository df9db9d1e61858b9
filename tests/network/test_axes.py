"""However a model arranges samples, positions and outputs, a rule sees (N, positions..., n_out)."""

import re

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.axes import Arrangement, Samples, arrangement, output_view

N, T, C, H, W = 4, 6, 5, 3, 2

# Name -> the model's output, the axis that the user chose, whether the input has time first, what a rule sees.
ARRANGEMENTS = {
    "one number": ((N,), None, False, (N, 1)),
    "scores": ((N, C), None, False, (N, C)),
    "scores, named": ((N, C), 1, False, (N, C)),
    "sequences": ((N, T, C), None, False, (N, T, C)),
    "sequences with scores before time": ((N, C, T), 1, False, (N, T, C)),
    "pictures": ((N, C, H, W), 1, False, (N, H, W, C)),
    "pictures with scores last": ((N, H, W, C), -1, False, (N, H, W, C)),
    "flat": ((N * T, C), None, False, (N, T, C)),
    "flat numbers": ((N * T,), None, False, (N, T)),
    "time first": ((T, N, C), None, True, (N, T, C)),
    "time first, flat": ((T * N, C), None, True, (N, T, C)),
    "time first, scores of the last step": ((N, C), None, True, (N, C)),
}


def made(shape, axis=None, time_first=False, steps=1, unclear=False):
    return arrangement(shape, Samples(N, time_first), axis, steps, unclear=unclear)


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_every_arrangement_is_seen_and_returned(name):
    shape, axis, time_first, seen_shape = ARRANGEMENTS[name]
    output = torch.randn(shape)
    form = made(shape, axis, time_first)
    seen = form.seen(output, N)
    assert seen.shape == seen_shape
    assert torch.equal(form.returned(seen), output)


def test_each_number_is_where_its_sample_position_and_class_say():
    n, t, c = 2, 3, 4
    row = made((T * N, C), time_first=True).seen(torch.arange(T * N * C).reshape(T * N, C), N)
    assert row[n, t, c] == (t * N + n) * C + c
    row = made((N * T, C)).seen(torch.arange(N * T * C).reshape(N * T, C), N)
    assert row[n, t, c] == (n * T + t) * C + c
    picture = torch.randn(N, C, H, W)
    assert made((N, C, H, W), 1).seen(picture, N)[n, 2, 1, c] == picture[n, c, 2, 1]


def test_a_batch_of_another_size_has_the_arrangement_of_the_example():
    assert made((N * T, C)).seen(torch.randn(2 * 7, C), 2).shape == (2, 7, C)
    assert made((T * N, C), time_first=True).seen(torch.randn(7 * 2, C), 2).shape == (2, 7, C)


def test_samples_are_counted_on_their_axis():
    batch = (torch.randn(T, N, C),), {}
    assert Samples(N, time_first=True).count_in(batch) == N
    assert Samples(T).count_in(batch) == T
    assert Samples(3).count_in(((), {})) == 1


@pytest.mark.parametrize(("shape", "axis"), [((N, C), 0), ((T, N, C), 1), ((C, N), None), ((C,), None), ((), None)])
def test_the_axis_of_the_samples_is_found(shape, axis):
    assert Samples(N).axis(shape) == axis


REFUSED = {
    "pictures": (
        {"shape": (N, C, H, W)},
        r"unclear on which axis its outputs \(classes\) lie",
        "axis=1 to axis=3, or -1",
    ),
    "a convolution over time": ({"shape": (N, C, T), "unclear": True}, "unclear on which axis", "axis=1 to axis=2"),
    "an axis too far": (
        {"shape": (N, C), "axis": 2},
        r"axis=2 is no axis of the outputs, whose shape is \(4, 5\)",
        "1 or",
    ),
    "an axis that is text": ({"shape": (N, C), "axis": "1"}, "axis='1' is no axis", "1 or more"),
    "the samples' axis": ({"shape": (N, C), "axis": 0}, "axis=0 is no axis", "1 or more"),
    "other samples": ({"shape": (N + 1, C)}, r"has shape \(5, 5\), but the input has 4 samples", "its first axis"),
    "as many steps as samples": ({"shape": (N, N, C), "steps": N}, "unclear which axis holds the 4 samples", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unclear_axis_is_refused_with_a_way_out(name):
    arguments, message, allowed = REFUSED[name]
    with pytest.raises(UserError, match=message) as refused:
        made(**arguments)
    assert allowed in (refused.value.allowed or "")


def test_several_outputs_with_the_same_positions_lie_side_by_side():
    view = output_view([(N, T, C), (N, T, 1)], Samples(N), None, 1, unclear=False)
    outputs = [torch.randn(N, T, C), torch.randn(N, T, 1)]
    seen = view.seen(outputs, N)
    assert view.shape == (T, C + 1) and torch.equal(seen, torch.cat(outputs, -1))
    assert all(map(torch.equal, view.returned(seen, outputs, N), outputs))


def test_several_outputs_with_other_positions_are_flattened():
    shapes = [(N, T, C), (N, 3), (N,)]
    view = output_view(shapes, Samples(N), None, 1, unclear=False)
    outputs = [torch.randn(shape) for shape in shapes]
    seen = view.seen(outputs, N)
    assert view.shape == (T * C + 3 + 1,)
    assert torch.equal(seen[1], torch.cat([outputs[0][1].flatten(), outputs[1][1], outputs[2][1:2]]))
    assert all(map(torch.equal, view.returned(seen, outputs, N), outputs))


def test_attach_asks_for_the_axis_of_a_segmentation_and_takes_it():
    model, x = nn.Sequential(*conv(3, 8), *conv(8, 8), nn.Conv2d(8, C, 1)), torch.randn(N, 3, H, H)
    with pytest.raises(UserError, match="unclear on which axis") as refused:
        gb.attach(model, "dfa", x)
    assert "axis=1" in str(refused.value.hint)
    net = gb.attach(model, "dfa", x, axis=1)
    assert net.output_shape == (H, H, C)
    assert model(x).shape == (N, C, H, H)


@pytest.mark.parametrize("steps", [3, C])
def test_classes_moved_in_front_of_the_positions_are_asked_for(steps):
    """`scores.transpose(1, 2)`, as `F.cross_entropy` reads them. The shape alone cannot tell the classes from time."""

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
            self.out = nn.Linear(8, C)

        def forward(self, x):
            return self.out(self.body(x)).transpose(1, 2)

    torch.manual_seed(0)
    x, labels = torch.randn(N, steps, 3), torch.randint(C, (N, steps))
    with pytest.raises(UserError, match="unclear on which axis"):
        gb.attach(Tagger(), "dfa", x)
    model = Tagger()
    net = gb.attach(model, "dfa", x, axis=1)
    errors = []
    net.rule.signal = lambda block, error: errors.append(error) or net.rule.project(error, block)
    output = model(x)
    torch.nn.functional.cross_entropy(output, labels).backward()
    error = output.detach().softmax(1) - torch.nn.functional.one_hot(labels, C).transpose(1, 2)
    assert torch.allclose(errors[0], error.transpose(1, 2) / labels.numel(), atol=1e-6)


def conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()


def test_the_model_returns_what_it_returned_before_in_every_arrangement():
    class Arranged(nn.Module):
        def __init__(self, end):
            super().__init__()
            self.body, self.end = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, C)), end

        def forward(self, x):
            return self.end(self.body(x))

    x = torch.randn(N, T, 3)
    for end in (lambda y: y.flatten(0, 1), lambda y: y[..., 0], lambda y: y.movedim(1, 0)):
        model = Arranged(end)
        expected = model(x)
        net = gb.attach(model, "dfa", x)
        assert torch.equal(model(x), expected), re.sub(r"\s+", " ", repr(net.output_shape))
        model(x).square().sum().backward()
        assert model.body[0].weight.grad.any()


def test_an_arrangement_of_flat_rows_is_equal_for_gradients():
    output = torch.randn(N * T, C, requires_grad=True)
    form = Arrangement(0, 2, flat=True)
    error = torch.randn(N, T, C)
    (gradient,) = torch.autograd.grad(form.seen(output, N), output, error)
    assert torch.equal(gradient, error.reshape(N * T, C))
