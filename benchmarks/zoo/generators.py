"""Networks that return pictures: super_resolution, vae, dcgan and fast_neural_style of PyTorch's `examples`, a U-Net
(Ronneberger et al. 2015) and an autoencoder."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.zoo.classifiers import picture
from benchmarks.zoo.entry import Entry, classes, halves, reads_classes, values


class SuperResolution(nn.Module):
    """Four convolutions, one ReLU module for all, and pixels shuffled at the end (Shi et al. 2016)."""

    def __init__(self, factor=2):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5, 1, 2), nn.Conv2d(8, 8, 3, 1, 1)
        self.conv3, self.conv4 = nn.Conv2d(8, 6, 3, 1, 1), nn.Conv2d(6, factor**2, 3, 1, 1)
        self.pixel_shuffle = nn.PixelShuffle(factor)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))


class Vae(nn.Module):
    """Three outputs: the picture, and the mean and log-variance of its code."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(16, 12), nn.Linear(12, 3), nn.Linear(12, 3)
        self.fc3, self.fc4 = nn.Linear(3, 12), nn.Linear(12, 16)

    def forward(self, x):
        hidden = F.relu(self.fc1(x.view(-1, 16)))
        mu, logvar = self.fc21(hidden), self.fc22(hidden)
        std = torch.exp(0.5 * logvar)
        code = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.fc4(F.relu(self.fc3(code)))), mu, logvar


def vae_loss(output):
    picture, mu, logvar = output
    likelihood = F.binary_cross_entropy(picture, values(picture), reduction="sum")
    return likelihood - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def generator():
    """Transposed convolutions from a code to a picture between -1 and 1."""
    return nn.Sequential(
        nn.ConvTranspose2d(6, 12, 4, 1, 0, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(True),
        nn.ConvTranspose2d(12, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(True),
        nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


class Discriminator(nn.Module):
    """Convolutions down to one probability per picture: an output of shape (N,)."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 6, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(6, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.main(x).view(-1, 1).squeeze(1)


def fools(pictures):
    """The generator's loss under a fixed discriminator."""
    weights = values(pictures[0]) - 0.5
    judged = torch.sigmoid((pictures * weights).flatten(1).sum(1))
    return F.binary_cross_entropy(judged, torch.ones_like(judged))


def real_or_fake(output):
    return F.binary_cross_entropy(output, halves(output))


class Padded(nn.Module):
    """Nearest-neighbor upsampling (for a factor), reflected borders, a convolution."""

    def __init__(self, before, after, size, stride=1, upsample=None):
        super().__init__()
        self.upsample = upsample
        self.reflection_pad = nn.ReflectionPad2d(size // 2)
        self.conv2d = nn.Conv2d(before, after, size, stride)

    def forward(self, x):
        if self.upsample:
            x = F.interpolate(x, mode="nearest", scale_factor=self.upsample)
        return self.conv2d(self.reflection_pad(x))


class StyleResidual(nn.Module):
    """Two padded convolutions with instance norm beside an identity."""

    def __init__(self, width):
        super().__init__()
        self.conv1, self.in1 = Padded(width, width, 3), nn.InstanceNorm2d(width, affine=True)
        self.conv2, self.in2 = Padded(width, width, 3), nn.InstanceNorm2d(width, affine=True)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.in2(self.conv2(self.relu(self.in1(self.conv1(x))))) + x


class Style(nn.Module):
    """Down, residual blocks, up (Johnson et al. 2016). One ReLU module for all layers."""

    def __init__(self):
        super().__init__()
        self.conv1, self.in1 = Padded(3, 4, 5), nn.InstanceNorm2d(4, affine=True)
        self.conv2, self.in2 = Padded(4, 6, 3, 2), nn.InstanceNorm2d(6, affine=True)
        self.conv3, self.in3 = Padded(6, 8, 3, 2), nn.InstanceNorm2d(8, affine=True)
        self.res1, self.res2 = StyleResidual(8), StyleResidual(8)
        self.deconv1, self.in4 = Padded(8, 6, 3, upsample=2), nn.InstanceNorm2d(6, affine=True)
        self.deconv2, self.in5 = Padded(6, 4, 3, upsample=2), nn.InstanceNorm2d(4, affine=True)
        self.deconv3 = Padded(4, 3, 5)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.relu(self.in1(self.conv1(x)))
        x = self.relu(self.in2(self.conv2(x)))
        x = self.relu(self.in3(self.conv3(x)))
        x = self.res2(self.res1(x))
        x = self.relu(self.in4(self.deconv1(x)))
        x = self.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


class Double(nn.Sequential):
    """Twice a convolution, norm and ReLU."""

    def __init__(self, before, after):
        pairs = [(before, after), (after, after)]
        super().__init__(
            *(
                layer
                for a, b in pairs
                for layer in (nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
            )
        )


class UNet(nn.Module):
    """An encoder, a decoder, and a skip connection by concatenation at each resolution."""

    def __init__(self):
        super().__init__()
        self.inc, self.down1, self.down2 = Double(3, 4), Double(4, 6), Double(6, 8)
        self.up1, self.up2 = nn.ConvTranspose2d(8, 6, 2, stride=2), nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.conv1, self.conv2 = Double(12, 6), Double(8, 4)
        self.outc = nn.Conv2d(4, 5, 1)

    def forward(self, x):
        first = self.inc(x)
        second = self.down1(F.max_pool2d(first, 2))
        third = self.down2(F.max_pool2d(second, 2))
        x = self.conv1(torch.cat([second, self.up1(third)], 1))
        x = self.conv2(torch.cat([first, self.up2(x)], 1))
        return self.outc(x)


def per_pixel(output):
    n, _, height, width = output.shape
    return F.cross_entropy(output, classes(n * height * width, 5).view(n, height, width))


class Autoencoder(nn.Module):
    """A picture through a narrow code and back."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 16), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def mean_squares(output):
    return F.mse_loss(output, values(output))


PICTURES = {"axis": 1}  # (N, channels, H, W)

ENTRIES = [
    Entry(
        "super_resolution",
        SuperResolution,
        picture(1, 6),
        mean_squares,
        ("conv[123].weight",),
        ("conv4.weight",),
        (4, 12, 12, 1),
        PICTURES,
        reads_classes(),
    ),
    Entry(
        "vae",
        Vae,
        lambda: torch.rand(4, 1, 4, 4),
        vae_loss,
        ("fc1.weight", "fc2?.weight", "fc3.weight"),
        ("fc4.weight",),
        (4, 22),
        refused=reads_classes(),
        mixed=("fc21.*", "fc22.*"),
    ),
    Entry(
        "dcgan_generator",
        generator,
        lambda: torch.randn(4, 6, 1, 1),
        fools,
        ("[03].weight",),
        ("6.weight",),
        (4, 16, 16, 3),
        PICTURES,
        values=True,
    ),
    Entry(
        "dcgan_discriminator",
        Discriminator,
        picture(3, 16),
        real_or_fake,
        ("main.[02].weight",),
        ("main.5.weight",),
        (4, 1),
        refused=reads_classes(),
    ),
    Entry(
        "fast_neural_style",
        Style,
        picture(3, 12, 2),
        mean_squares,
        ("conv?.*.weight", "res?.*.weight"),
        ("deconv3.*.weight",),
        (2, 12, 12, 3),
        PICTURES,
        values=True,
    ),
    Entry(
        "unet",
        UNet,
        picture(3, 8),
        per_pixel,
        ("inc.*.weight", "down?.*.weight", "up?.weight", "conv?.*.weight"),
        ("outc.weight",),
        (4, 8, 8, 5),
        PICTURES,
        family="U-Net",
    ),
    Entry(
        "autoencoder",
        Autoencoder,
        lambda: torch.rand(4, 16),
        mean_squares,
        ("encoder.*.weight", "decoder.0.weight"),
        ("decoder.2.weight",),
        (4, 16),
        values=True,
        family="autoencoder",
    ),
]
