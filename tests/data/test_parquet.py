import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from tests.data.sources import png, random_images, unpacked, write_folder, write_split

Load = Callable[..., DataSet]


def pixels(data: DataSet, part: str) -> torch.Tensor:
    """Undo the normalization: (N, C, H, W) gray levels."""
    inputs = torch.cat([inputs for inputs, _ in unpacked(getattr(data, part).batches(7))])
    mean, std = (torch.tensor(data.description[key])[:, None, None] for key in ("mean", "std"))
    return (inputs * std + mean).round()


def test_the_test_split_is_the_files_images_in_order(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(f"parquet:{write_folder(tmp_path)}")
    expected = torch.from_numpy(np.stack(random_images(10, (8, 8, 3), seed=1))).permute(0, 3, 1, 2)
    assert torch.equal(pixels(data, "test"), expected.float())
    assert torch.cat([labels for _, labels in data.test.batches(4)]).tolist() == [row % 3 for row in range(10)]
    assert (data.shape, data.classes) == ((3, 8, 8), 3)
    assert data.description["sizes"] == {"train": 37, "validation": 3, "test": 10}


def test_batches_decoded_on_demand_equal_those_from_memory_bit_for_bit(tmp_path: Path, load_on_cpu: Load) -> None:
    pytest.importorskip("datasets")
    folder = write_folder(tmp_path)
    both = [load_on_cpu(f"parquet:{folder}", augment="flip-crop", memory_limit=limit) for limit in (1.0, 0)]
    assert type(both[0].train) is not type(both[1].train)
    assert both[0].description == both[1].description
    assert both[0].train.batch_count(16) == both[1].train.batch_count(16) == 2
    state = torch.get_rng_state()
    for part in ("train", "validation", "test"):
        for seed in (None, 5):
            passes = []
            for data in both:
                generator = None if seed is None else torch.Generator().manual_seed(seed)
                passes.append(list(unpacked(getattr(data, part).batches(16, generator=generator))))
            for (a, b), (c, d) in zip(*passes, strict=True):
                assert torch.equal(a, c)
                assert torch.equal(b, d)
    assert torch.equal(torch.get_rng_state(), state)


def test_workers_that_start_as_fresh_interpreters_decode_the_same_images(tmp_path: Path, load_on_cpu: Load) -> None:
    pytest.importorskip("datasets")
    images = load_on_cpu(f"parquet:{write_folder(tmp_path)}", memory_limit=0).train.images
    assert torch.equal(pickle.loads(pickle.dumps(images))[3], images[3])


def test_images_of_several_sizes_need_resize(tmp_path: Path, load_on_cpu: Load) -> None:
    pytest.importorskip("datasets")
    images = [*random_images(20, (8, 8, 3)), *random_images(20, (12, 10, 3))]
    for split in ("train", "test"):
        write_split(tmp_path, split, images, [row % 2 for row in range(40)])
    with pytest.raises(UserError, match=r"several sizes: 8x8 and 12x10[\s\S]*resize"):
        load_on_cpu(f"parquet:{tmp_path}")
    for memory_limit in (1.0, 0):
        data = load_on_cpu(f"parquet:{tmp_path}", resize=6, memory_limit=memory_limit)
        assert next(unpacked(data.train.batches(10)))[0].shape == (10, 3, 6, 6)


def test_resize_keeps_the_middle(tmp_path: Path, load_on_cpu: Load) -> None:
    wide = np.zeros((4, 8), dtype=np.uint8)
    wide[:, 2:6] = 200
    write_split(tmp_path, "train", [wide, 0 * wide] * 5, [0, 1] * 5)
    write_split(tmp_path, "test", [wide], [0])
    data = load_on_cpu(f"parquet:{tmp_path}", resize=4, validation=0.2)
    assert (pixels(data, "test") == 200).all()


def test_gray_as_three_channels_and_color_as_one(tmp_path: Path, load_on_cpu: Load) -> None:
    gray = load_on_cpu(f"parquet:{write_folder(tmp_path / 'gray', size=(8, 8))}", channels=3)
    assert gray.shape == (3, 8, 8)
    assert torch.equal(pixels(gray, "test")[:, 0], pixels(gray, "test")[:, 1])
    color = load_on_cpu(f"parquet:{write_folder(tmp_path / 'color')}", channels=1)
    first = Image.fromarray(random_images(10, (8, 8, 3), seed=1)[0]).convert("L")
    assert np.array_equal(pixels(color, "test")[0, 0].numpy(), np.asarray(first))


def test_color_is_never_dropped_silently(tmp_path: Path, load_on_cpu: Load) -> None:
    images = [*random_images(10, (8, 8)), *random_images(10, (8, 8, 3))]
    write_split(tmp_path, "train", images, [0, 1] * 10)
    write_split(tmp_path, "test", images, [0, 1] * 10)
    with pytest.raises(UserError, match=r"train split, row 10 of train.parquet: found a color image"):
        load_on_cpu(f"parquet:{tmp_path}")
    assert load_on_cpu(f"parquet:{tmp_path}", channels=3).shape == (3, 8, 8)


def test_a_labeled_validation_split_is_used(tmp_path: Path, load_on_cpu: Load) -> None:
    write_folder(tmp_path)
    write_split(tmp_path, "validation", random_images(6, (8, 8, 3), 9), [0, 1, 2] * 2)
    data = load_on_cpu(f"parquet:{tmp_path}")
    assert data.description["sizes"] == {"train": 40, "validation": 6, "test": 10}


def test_hidden_test_labels_are_refused_and_validation_can_be_the_test_split(tmp_path: Path, load_on_cpu: Load) -> None:
    write_folder(tmp_path)
    write_split(tmp_path, "validation", random_images(6, (8, 8, 3), 9), [0, 1, 2] * 2)
    write_split(tmp_path, "test", random_images(4, (8, 8, 3), 8), [-1] * 4)
    with pytest.raises(UserError, match=r"test split: .*first label -1 in row 0[\s\S]*test_split"):
        load_on_cpu(f"parquet:{tmp_path}")
    data = load_on_cpu(f"parquet:{tmp_path}", test_split="validation")
    assert data.description["sizes"] == {"train": 37, "validation": 3, "test": 6}


def test_normalization_does_not_depend_on_the_test_split(tmp_path: Path, load_on_cpu: Load) -> None:
    write_folder(tmp_path)
    before = load_on_cpu(f"parquet:{tmp_path}").description
    write_split(tmp_path, "test", [np.full((8, 8, 3), 255, dtype=np.uint8)] * 5, [0] * 5)
    after = load_on_cpu(f"parquet:{tmp_path}").description
    assert (before["mean"], before["std"]) == (after["mean"], after["std"])
    assert before["fingerprint"] != after["fingerprint"]


def test_parts_of_a_split_and_other_column_names(tmp_path: Path, load_on_cpu: Load) -> None:
    images = random_images(30, (8, 8))
    for part in range(2):
        rows = images[15 * part : 15 * part + 15]
        write_split(tmp_path, f"train-{part:05}-of-00002", rows, [0, 1, 1] * 5, ("picture", "kind"))
    write_split(tmp_path, "test", images[:3], [0, 1, 1], ("picture", "kind"))
    with pytest.raises(UserError, match="none of the columns picture, kind holds labels"):
        load_on_cpu(f"parquet:{tmp_path}")
    data = load_on_cpu(f"parquet:{tmp_path}", label_column="kind", image_column="picture")
    assert data.description["sizes"] == {"train": 27, "validation": 3, "test": 3}


def test_class_names_count_the_classes(tmp_path: Path, load_on_cpu: Load) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c", "never"])}
    )
    rows = {"img": [Image.fromarray(x) for x in random_images(30, (8, 8))], "label": [0, 1, 2] * 10}
    for split in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{split}.parquet")
    assert load_on_cpu(f"parquet:{tmp_path}").classes == 4


def write_table(folder: Path, columns: dict) -> None:
    for split in ("train", "test"):
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")


@pytest.mark.parametrize(
    ("columns", "args", "said"),
    [
        ({"x": [1.0], "label": [0]}, {"kind": "images"}, "none of the columns x, label holds images"),
        ({"x": [1.0], "label": [0]}, {"kind": "image"}, "unknown kind 'image'; did you mean 'images'"),
        ({"image": [b"no image"], "label": [0]}, {}, "PIL cannot read the image"),
        ({"image": [png(np.zeros((8, 8), np.uint8))], "label": [0.5]}, {}, "column 'label' has type double"),
        ({"image": [png(np.zeros((8, 8), np.uint8))] * 9, "label": [3] * 9}, {}, "all training samples have the same"),
        ({"image": [b""], "label": [0]}, {"label_column": "lable"}, "did you mean 'label'"),
        ({"image": [b""], "label": [0]}, {"image_column": "label"}, "holds no images"),
        ({"a": [b""], "b": [b""], "label": [0]}, {}, "several columns hold images: a, b"),
        ({"image": [None], "label": [0]}, {"image_column": "image"}, "holds no images"),
        ({"image": [png(np.zeros((8, 8), np.uint16))], "label": [0]}, {}, "more than 8 bits"),
        ({"image": [png(np.zeros((8, 8), np.uint8))] * 9, "label": [0] * 8 + [None]}, {}, "rows without a label: 1"),
        ({"image": [png(random_images(1, (8, 8))[0])[:-40]] * 9, "label": [0] * 9}, {}, "the image is damaged"),
    ],
)
def test_unreadable_tables_are_refused(tmp_path: Path, load_on_cpu: Load, columns: dict, args: dict, said: str) -> None:
    write_table(tmp_path, columns)
    with pytest.raises(UserError, match=said):
        load_on_cpu(f"parquet:{tmp_path}", **args)


def test_the_error_for_missing_folders_and_files_names_the_path(tmp_path: Path, load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match=f"no folder {tmp_path}/nowhere"):
        load_on_cpu(f"parquet:{tmp_path}/nowhere")
    with pytest.raises(UserError, match=f"no {tmp_path}/train.parquet"):
        load_on_cpu(f"parquet:{tmp_path}")
    write_split(tmp_path, "train", random_images(4, (8, 8)), [0, 1] * 2)
    with pytest.raises(UserError, match="no split 'test'"):
        load_on_cpu(f"parquet:{tmp_path}")
