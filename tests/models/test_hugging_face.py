from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from grape_bench.errors import UserError
from grape_bench.models import build

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def test_an_image_classifier_fits_the_data() -> None:
    model = build("hf:vit", shape=(1, 28, 28), classes=7, args={**SMALL, "patch_size": 7})
    assert model(torch.randn(2, 1, 28, 28)).logits.shape == (2, 7)
    assert model.training


def test_an_architecture_without_an_image_size() -> None:
    args = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]}
    model = build("hf:resnet", shape=(1, 32, 32), classes=4, args=args)
    assert model(torch.randn(2, 1, 32, 32)).logits.shape == (2, 4)


def test_a_sequence_classifier_for_tokens() -> None:
    model = build("hf:bert", shape=(12,), classes=2, args={**SMALL, "vocab_size": 50})
    assert model(torch.randint(0, 50, (3, 12))).logits.shape == (3, 2)


def test_a_folder_gives_its_configuration_and_with_pretrained_its_weights(tmp_path: Path) -> None:
    args = {**SMALL, "patch_size": 4}
    torch.manual_seed(0)
    saved = build("hf:vit", shape=(3, 8, 8), classes=3, args=args)
    saved.save_pretrained(tmp_path)  # type: ignore[operator]
    torch.manual_seed(1)
    drawn = build(f"hf:{tmp_path}", shape=(3, 8, 8), classes=3, args={})
    loaded = build(f"hf:{tmp_path}", shape=(3, 8, 8), classes=5, args={"pretrained": True})
    name = "vit.embeddings.patch_embeddings.projection.weight"
    weight = saved.state_dict()[name]
    assert not torch.equal(drawn.state_dict()[name], weight)
    assert torch.equal(loaded.state_dict()[name], weight)
    assert loaded(torch.randn(2, 3, 8, 8)).logits.shape == (2, 5)
    assert loaded.training


@pytest.mark.parametrize(
    ("name", "shape", "args", "said"),
    [
        ("vitt", (3, 32, 32), {}, "did you mean 'vit'"),
        ("bert", (3, 32, 32), {}, "no image classifier"),
        ("vit", (3, 32, 32), {"hiden_size": 8}, "did you mean 'hidden_size'"),
        ("vit", (3, 32, 32), {"hidden_size": "wide"}, "hidden_size"),
        ("vit", (3, 32, 32), {"pretrained": True}, "no pretrained weights"),
    ],
)
def test_mistakes_are_refused(name: str, shape: tuple[int, ...], args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(f"hf:{name}", shape=shape, classes=10, args=args)


def test_a_hub_that_cannot_be_reached_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **settings: object) -> None:
        raise OSError("We couldn't connect to the hub\nand more")

    monkeypatch.setattr(AutoConfig, "from_pretrained", no_network)
    with pytest.raises(UserError, match="the download failed: We couldn't connect to the hub\n"):
        build("hf:owner/model", shape=(3, 32, 32), classes=10, args={})
