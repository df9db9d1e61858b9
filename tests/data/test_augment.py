import pytest
import torch
import torch.nn.functional as F

from grape_bench.data.augment import PADDING, draw, flip_crop


def reference(image: torch.Tensor, down: int, right: int, flip: int) -> torch.Tensor:
    """One image (C, H, W), step by step."""
    height, width = image.shape[1:]
    padded = F.pad(image.float()[None], (PADDING,) * 4, mode="reflect")[0]
    crop = padded[:, down : down + height, right : right + width]
    return crop.flip(2) if flip else crop


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
def test_the_batch_is_what_one_image_at_a_time_gives(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, (50, *shape), dtype=torch.uint8)
    draws = draw(50, torch.Generator().manual_seed(0))
    result = flip_crop(images, draws)
    assert result.dtype == torch.uint8
    for image, after, offsets in zip(images, result, draws.T.tolist(), strict=True):
        assert torch.equal(after.float(), reference(image, *offsets))


def test_the_middle_unflipped_is_the_image() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(flip_crop(images, torch.tensor([[4, 4], [4, 4], [0, 0]])), images)


def test_all_offsets_and_both_directions_are_drawn() -> None:
    draws = draw(5000, torch.Generator().manual_seed(0))
    assert draws[0].unique().tolist() == draws[1].unique().tolist() == list(range(9))
    assert abs(draws[2].float().mean() - 0.5) < 0.03
