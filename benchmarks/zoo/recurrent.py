"""Recurrent networks: mnist_rnn and time_sequence_prediction of PyTorch's `examples`, a stack of LSTMs, a GRU written
as a loop, and a fused LSTM that is fed time-first."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.zoo.classifiers import cross_entropy, nll
from benchmarks.zoo.entry import Entry, values


class MnistRnn(nn.Module):
    """An LSTM reads a picture row by row; its last step goes through BatchNorm and two linear layers."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(input_size=8, hidden_size=12, batch_first=True)
        self.batchnorm = nn.BatchNorm1d(12)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(12, 10), nn.Linear(10, 5)

    def forward(self, x):
        output, _ = self.rnn(x.reshape(-1, 8, 8))
        x = self.dropout1(self.batchnorm(output[:, -1, :]))
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


class TimeSequence(nn.Module):
    """Two LSTM cells and a linear layer, called once per time step; one output number per step, in float64."""

    def __init__(self):
        super().__init__()
        self.lstm1, self.lstm2, self.linear = nn.LSTMCell(1, 7), nn.LSTMCell(7, 7), nn.Linear(7, 1)

    def forward(self, x):
        h1, c1, h2, c2 = (torch.zeros(len(x), 7, dtype=torch.double) for _ in range(4))
        outputs = []
        for step in x.split(1, dim=1):
            h1, c1 = self.lstm1(step, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            outputs.append(self.linear(h2))
        return torch.cat(outputs, dim=1)


class Stack(nn.Module):
    """Two LSTMs on top of each other; the last step is classified."""

    def __init__(self):
        super().__init__()
        self.lstm1, self.lstm2 = nn.LSTM(4, 9, batch_first=True), nn.LSTM(9, 8, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x, _ = self.lstm1(x)
        x, _ = self.lstm2(x)
        return self.head(x[:, -1])


class Unrolled(nn.Module):
    """A GRU written as a loop over its cell."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(4, 9), nn.Linear(9, 5)

    def forward(self, x):
        h = x.new_zeros(len(x), 9)
        for step in x.unbind(1):
            h = self.cell(step, h)
        return self.head(h)


class TwoCells(nn.Module):
    """Two GRU cells on top of each other in one loop, with logits at every step (N, T, C)."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.GRUCell(4, 9), nn.GRUCell(9, 8), nn.Linear(8, 5)

    def forward(self, x):
        h, g, outputs = x.new_zeros(len(x), 9), x.new_zeros(len(x), 8), []
        for step in x.unbind(1):
            h = self.first(step, h)
            g = self.second(h, g)
            outputs.append(self.head(g))
        return torch.stack(outputs, 1)


def sequences():
    return torch.randn(4, 6, 4)


def next_values(output):
    return F.mse_loss(output, values(output))


def per_step(output):
    return cross_entropy(output.flatten(0, 1))


GRU_CELL_LOOP = Entry(
    "gru_cell_loop",
    Unrolled,
    sequences,
    cross_entropy,
    ("cell.weight_*",),
    ("head.weight",),
    (4, 5),
    family="recurrent",
)

ENTRIES = [
    Entry(
        "mnist_rnn",
        MnistRnn,
        lambda: torch.randn(6, 1, 8, 8),
        nll,
        ("rnn.weight_*", "fc1.weight"),
        ("fc2.weight",),
        (6, 5),
    ),
    Entry(
        "time_sequence_prediction",
        lambda: TimeSequence().double(),
        lambda: torch.randn(4, 6, dtype=torch.double),
        next_values,
        ("lstm?.weight_*",),
        ("linear.weight",),
        (4, 6),
        values=True,
    ),
    Entry(
        "lstm_stack", Stack, sequences, cross_entropy, ("lstm?.weight_*",), ("head.weight",), (4, 5), family="recurrent"
    ),
    GRU_CELL_LOOP,
    replace(GRU_CELL_LOOP, name="gru_cell_loop_in_time", options={"cuts": "time"}),
    Entry(
        "two_gru_cells",
        TwoCells,
        sequences,
        per_step,
        ("first.weight_*", "second.weight_*"),
        ("head.weight",),
        (4,),
        family="recurrent",
    ),
    Entry(
        "two_gru_cells_in_depth_and_time",
        TwoCells,
        sequences,
        per_step,
        ("first.weight_*", "second.weight_*"),
        ("head.weight",),
        (4,),
        {"cuts": "both"},
        family="recurrent",
    ),
]
