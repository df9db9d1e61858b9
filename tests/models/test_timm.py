import pytest
import timm
import torch
from torch import nn

from grape_bench.errors import UserError
from grape_bench.models import build


@pytest.mark.parametrize(("name", "kind"), [("resnet10t", "ResNet"), ("vit_tiny_patch16_224", "VisionTransformer")])
def test_models_are_timms_own_and_fit_the_data(name: str, kind: str) -> None:
    model = build(f"timm:{name}", shape=(1, 32, 32), classes=10, args={})
    assert type(model).__module__.startswith("timm.")
    assert type(model).__name__ == kind
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, 10)


def test_the_users_arguments_win() -> None:
    args = {"depth": 1, "patch_size": 4, "img_size": 16}
    model = build("timm:vit_tiny_patch16_224", shape=(3, 32, 32), classes=10, args=args)
    assert len(dict(model.named_modules())["blocks"]) == 1  # type: ignore[arg-type]
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 10)


def test_a_seed_gives_timms_weights_even_where_no_image_size_is_taken() -> None:
    torch.manual_seed(3)
    ours = build("timm:resnet10t", shape=(3, 32, 32), classes=10, args={})
    torch.manual_seed(3)
    theirs = timm.create_model("resnet10t", num_classes=10, in_chans=3)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "shape", "args", "said"),
    [
        ("resnt18", (3, 32, 32), {}, "did you mean 'resnet18'"),
        ("resnet10t", (3, 32, 32), {"bogus": 1}, "timm:resnet10t.*bogus"),
        ("vit_tiny_patch16_224", (3, 32, 32), {"bogus": 1}, "bogus"),
        ("resnet10t", (40,), {}, "needs images"),
    ],
)
def test_mistakes_are_refused(name: str, shape: tuple[int, ...], args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(f"timm:{name}", shape=shape, classes=10, args=args)


def test_weights_that_cannot_be_downloaded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **settings: object) -> nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(UserError, match="the download failed: no route to host"):
        build("timm:resnet10t", shape=(3, 32, 32), classes=10, args={"pretrained": True})
