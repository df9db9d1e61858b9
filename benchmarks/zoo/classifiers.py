"""Image classifiers of PyTorch's `examples`: mnist, mnist_hogwild, siamese_network, imagenet, vision_transformer."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from benchmarks.zoo.entry import Entry, classes, halves, reads_classes


class Mnist(nn.Module):
    """Two convolutions and two linear layers; every activation is a function."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, 1), nn.Conv2d(4, 6, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(6 * 4 * 4, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


class MnistHogwild(nn.Module):
    """Pooling before the activation, dropout of whole maps as a module, dropout of units as a function."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.conv2_drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(24, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.view(-1, 24)))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + x)


class Siamese(nn.Module):
    """One ResNet sees both pictures; a small head compares its features."""

    def __init__(self):
        super().__init__()
        stem = nn.Conv2d(1, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.resnet = nn.Sequential(*stem, Residual(6), Residual(6), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Sequential(nn.Linear(12, 8), nn.ReLU(inplace=True), nn.Linear(8, 1))
        self.sigmoid = nn.Sigmoid()

    def once(self, x):
        features = self.resnet(x)
        return features.view(len(features), -1)

    def forward(self, first, second):
        both = torch.cat((self.once(first), self.once(second)), 1)
        return self.sigmoid(self.fc(both))


class Encoder(nn.Module):
    """Pre-norm attention and MLP. One LayerNorm serves both, and the attention is time-first."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.multihead = nn.MultiheadAttention(width, 2, dropout=0.1)
        self.enc_mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width), nn.Dropout(0.1)
        )

    def forward(self, x):
        normed = self.norm(x)
        x = x + self.multihead(normed, normed, normed)[0]
        return x + self.enc_mlp(self.norm(x))


class VisionTransformer(nn.Module):
    """Patches, a class token and positions that are parameters of the batch's shape, and a head of two layers.

    The attention mixes samples, not tokens. So the class token never sees a patch, and BP's gradient of the patches'
    projection is zero.
    """

    def __init__(self, batch=4, width=8, patch=4):
        super().__init__()
        self.patch = patch
        self.projection = nn.Linear(3 * patch * patch, width)
        self.class_token = nn.Parameter(torch.randn(batch, 1, width))
        self.positions = nn.Parameter(torch.randn(batch, 5, width))
        self.stack = nn.ModuleList(Encoder(width) for _ in range(2))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, 5))

    def forward(self, x):
        patches = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        x = torch.cat((self.class_token, self.projection(patches)), 1) + self.positions
        for layer in self.stack:
            x = layer(x)
        return self.head(x[:, 0])


def picture(channels: int, size: int, samples: int = 4):
    return lambda: torch.randn(samples, channels, size, size)


def nll(output):
    return F.nll_loss(output, classes(len(output), 5))


def cross_entropy(output):
    return F.cross_entropy(output, classes(len(output), 5))


def same_or_not(output):
    return F.binary_cross_entropy(output.squeeze(1), halves(output.squeeze(1)))


ENTRIES = [
    Entry("mnist", Mnist, picture(1, 12), nll, ("conv?.weight", "fc1.weight"), ("fc2.weight",), (4, 5)),
    Entry("mnist_hogwild", MnistHogwild, picture(1, 14), nll, ("conv?.weight", "fc1.weight"), ("fc2.weight",), (4, 5)),
    Entry(
        "siamese_network",
        Siamese,
        lambda: (torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)),
        same_or_not,
        ("resnet.*.weight",),
        ("fc.2.weight",),
        (4, 1),
        refused=reads_classes(),
    ),
    Entry(
        "imagenet",
        lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5),
        picture(3, 32, 2),
        cross_entropy,
        ("conv1.weight", "layer?.0.conv?.weight"),
        ("fc.weight",),
        (2, 5),
    ),
    Entry(
        "vision_transformer",
        VisionTransformer,
        picture(3, 8),
        cross_entropy,
        ("stack.*.weight",),
        ("head.2.weight",),
        (4, 5),
    ),
]
