from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.models import save_for_hf
from torch import nn

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.models import build
from tests.job.jobs import job
from tests.models.hub_cache import store


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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny ViT for three classes of 16x16 images, as timm writes it for the Hub."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=3, img_size=16, patch_size=4)
    config = {"architecture": "test_vit", "model_args": {"img_size": 16, "patch_size": 4}}
    save_for_hf(model, folder, config, safe_serialization=True)
    return folder


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape", "head-only"])
def test_a_pretrained_vit_is_fine_tuned(rule: str, checkpoint: Path) -> None:
    args = {"pretrained": True, "in_chans": 3, "img_size": 8}
    data = {"dataset": "digits", "dataset_args": {"channels": 3, "limit": 64}}
    spec = job(rule, model=f"timm:local-dir:{checkpoint}", model_args=args, **data, epochs=1, deterministic=False)
    training.check(spec)
    assert training.run(spec, lambda row: None)["status"] == "finished"


def test_pretrained_weights_come_from_a_folder_or_the_cache_of_the_hub(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(checkpoint, tmp_path, "timm/test_vit.r160_in1k")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    saved = load_file(checkpoint / "model.safetensors")
    for name in (f"local-dir:{checkpoint}", "test_vit.r160_in1k", "hf-hub:timm/test_vit.r160_in1k"):
        args = {"pretrained": True, "img_size": 16, "patch_size": 4}
        made = build(f"timm:{name}", shape=(3, 16, 16), classes=5, args=args).state_dict()
        weight = "blocks.0.attn.qkv.weight"
        assert torch.equal(made[weight], saved[weight])
        assert made["head.weight"].shape[0] == 5
    with pytest.raises(UserError, match="the download failed"):
        build("timm:test_vit2.r160_in1k", shape=(3, 16, 16), classes=5, args={"pretrained": True})
