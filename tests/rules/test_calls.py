"""The rules on a block that is called at every time step, and on errors per position, against plain loops."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.rules.feedback import FEEDBACK
from grape_bench.rules.grape import GrAPE
from grape_bench.rules.refit import RIDGE, GrAPERefit
from grape_bench.rules.target import read_target
from tests.rules import reference

N, T, WIDTH, CLASSES = 4, 3, 5, 3


class Cells(nn.Module):
    """A recurrent cell in a loop; scores at each step (N, T, CLASSES), or their mean (N, CLASSES)."""

    def __init__(self, each):
        super().__init__()
        self.cell, self.head, self.each = nn.RNNCell(2, WIDTH), nn.Linear(WIDTH, CLASSES), each

    def forward(self, x):
        state, scores = x.new_zeros(len(x), WIDTH), []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            scores.append(self.head(state))
        return torch.stack(scores, 1) if self.each else torch.stack(scores, 1).mean(1)


class Problem:
    """A model with its batch, and what plain loops say about it."""

    def __init__(self, each, rule):
        torch.manual_seed(0)
        self.model, self.each = Cells(each).double(), each
        self.x = torch.randn(N, T, 2, dtype=torch.float64)
        self.labels = torch.randint(CLASSES, (N, T) if each else (N,))
        scores = self.model(self.x).detach().requires_grad_()
        (self.error,) = torch.autograd.grad(self.loss(scores), scores)
        self.target = read_target(scores.detach(), self.error)
        with torch.no_grad():
            self.states = self.unrolled()
        self.net = gb.attach(self.model, rule, self.x, seed=1)
        self.net.begin_epoch(batches=1)
        (self.block,) = self.net.blocks
        self.before = self.feedback if self.net.feedback() else None
        self.jacobian = self.model.head.weight.detach() / (1 if each else T)  # of the scores that belong to a call
        self.generator = torch.Generator()
        self.generator.set_state(self.net.generator("perturbation").get_state())

    def loss(self, scores):
        return F.cross_entropy(scores.reshape(-1, CLASSES), self.labels.flatten())

    def unrolled(self):
        cell, state, states = self.model.cell, self.x.new_zeros(N, WIDTH), []
        for t in range(T):
            state = torch.tanh(self.x[:, t] @ cell.weight_ih.T + cell.bias_ih + state @ cell.weight_hh.T + cell.bias_hh)
            states.append(state)
        return states

    def own(self, tensor, t):
        """The part of an error or target that belongs to step t."""
        return tensor[:, t] if self.each else tensor

    def directional(self, directions):
        """How the scores move if the head's input of every step moves along its direction, as (N,) e . d."""
        total = torch.zeros(N, dtype=torch.float64)
        for t, p in enumerate(directions):
            effect = p @ self.jacobian.T
            for n in range(N):
                total[n] += self.own(self.error, t)[n] @ effect[n]
        return total

    def check(self, signals):
        """The gradients of the cell, by backpropagation through time of the signal of each step."""
        self.loss(self.model(self.x)).backward()
        cell = self.model.cell
        recurrent, below = torch.zeros(N, WIDTH, dtype=torch.float64), [torch.zeros_like(self.states[0]), *self.states]
        found = {"weight_ih": 0, "weight_hh": 0, "bias_ih": 0}
        for t in reversed(range(T)):
            delta = (signals[t] + recurrent) * (1 - self.states[t] ** 2)
            for n in range(N):
                found["weight_ih"] += torch.outer(delta[n], self.x[n, t])
                found["weight_hh"] += torch.outer(delta[n], below[t][n])
                found["bias_ih"] += delta[n]
            recurrent = delta @ cell.weight_hh.detach()
        for name, expected in found.items():
            torch.testing.assert_close(cell.get_parameter(name).grad, expected, rtol=1e-5, atol=1e-8)

    @property
    def feedback(self):
        return self.block.load(FEEDBACK).double().clone()


EACH = pytest.mark.parametrize("each", [True, False], ids=["error of each step", "one error"])


@EACH
def test_direct_feedback_sends_each_call_its_error(each):
    problem = Problem(each, "dfa")
    assert (problem.block.calls, problem.block.timed) == (T, each)
    problem.check([problem.own(problem.error, t) @ problem.feedback for t in range(T)])


@EACH
def test_a_forward_gradient_moves_all_calls_and_reads_the_whole_error(each):
    problem = Problem(each, "fg")
    directions = [torch.randn(N, WIDTH, generator=problem.generator, dtype=torch.float64) for _ in range(T)]
    moved = problem.directional(directions)
    problem.check([moved[:, None] * p for p in directions])


@EACH
def test_a_local_loss_reads_the_target_of_its_call(each):
    problem = Problem(each, "local")
    B, target = problem.feedback, problem.target
    signals = []
    for t in range(T):
        scores = problem.states[t] @ B.T
        signals.append(target.scale.double() * (scores.softmax(1) - problem.own(target.one_hot, t)) @ B)
    problem.check(signals)


def refreshed(problem):
    """GrAPE's feedback after one refresh with a step of 0.3."""
    torch.randint(1, (), generator=problem.generator)  # which samples belong to which block: here all to one
    directions = [torch.randn(N, WIDTH, generator=problem.generator).double() for _ in range(T)]
    # One error moves with the directions of all calls. Those of the other calls are noise in its estimate.
    together = sum(p @ problem.jacobian.T for p in directions)
    total = torch.zeros(CLASSES, WIDTH, dtype=torch.float64)
    for p in directions:
        effect = p @ problem.jacobian.T if problem.each else together
        for n in range(N):
            total += torch.outer(effect[n], p[n])
    return reference.grape_step(problem.before, total / (N * T), 0.3, columns="output", cosine="columns")


@EACH
def test_grape_learns_from_the_directions_of_all_calls(each):
    problem = Problem(each, GrAPE(feedback_lr=0.3))
    expected = refreshed(problem)
    problem.check([problem.own(problem.error, t) @ expected for t in range(T)])
    torch.testing.assert_close(problem.feedback, expected, rtol=1e-5, atol=1e-7)


@EACH
def test_a_refit_takes_the_exact_signals_of_all_calls(each):
    problem = Problem(each, GrAPERefit(feedback_lr=0.3))
    errors = torch.cat([problem.own(problem.error, t) for t in range(T)])
    signals = errors @ problem.jacobian
    start = refreshed(problem)
    start *= signals.norm() / (errors @ start).norm()
    # The ridge as rows of their own in an ordinary least-squares problem.
    ridge = torch.eye(CLASSES).double() * (RIDGE * errors.square().sum() / CLASSES).sqrt()
    fitted = torch.linalg.lstsq(torch.cat([errors, ridge]), torch.cat([signals, ridge @ start])).solution
    expected = fitted / fitted.norm(dim=1, keepdim=True)
    problem.check([problem.own(problem.error, t) @ expected for t in range(T)])
    torch.testing.assert_close(problem.feedback, expected, rtol=1e-4, atol=1e-5)


class Segmenter(nn.Module):
    """Scores of each pixel (N, CLASSES, H, W)."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def hidden(self, x):
        return F.relu(self.two(F.relu(self.one(x)).detach()))

    def forward(self, x):
        return self.head(F.relu(self.two(F.relu(self.one(x)))))


@pytest.mark.parametrize("rule", ["dfa", "local", "grape"])
def test_each_pixel_gets_the_signal_of_its_own_error(rule):
    torch.manual_seed(0)
    model, x = Segmenter().double(), torch.randn(N, 2, 5, 4, dtype=torch.float64)
    labels = torch.randint(CLASSES, (N, 5, 4))
    net = gb.attach(model, rule, x, axis=1)
    assert net.output_shape == (5, 4, CLASSES) and net.feedback()["two"].shape == (CLASSES, 6)
    scores = model(x)
    F.cross_entropy(scores, labels).backward()
    leaf = scores.detach().requires_grad_()
    (error,) = torch.autograd.grad(F.cross_entropy(leaf, labels), leaf)
    hidden, B = model.hidden(x), net.blocks[-1].load(FEEDBACK).double()
    if rule == "local":
        own = torch.einsum("nkhw,ck->nchw", hidden.detach(), B).softmax(1)
        error = (own - F.one_hot(labels, CLASSES).movedim(-1, 1)) / labels.numel()
    signal = torch.einsum("nchw,ck->nkhw", error, B)
    (expected,) = torch.autograd.grad(hidden, model.two.weight, signal)
    torch.testing.assert_close(model.two.weight.grad, expected, rtol=1e-5, atol=1e-8)


def test_a_part_of_a_time_first_batch_has_all_time_steps():
    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent, self.inner, self.head = nn.GRU(2, 5), nn.Linear(5, 5), nn.Linear(5, CLASSES)

        def forward(self, x):
            shapes.append(tuple(x.shape))
            return self.head(torch.tanh(self.inner(self.recurrent(x)[0])))

    shapes, x = [], torch.randn(T, N, 2)
    model = TimeFirst()
    gb.attach(model, GrAPE(fraction=0.5), x)
    shapes.clear()
    model(x)
    assert shapes == [(T, N // 2, 2), (T, N, 2)]
