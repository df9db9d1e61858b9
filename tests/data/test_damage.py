"""Whatever a library raises while rows are read becomes one message with the file and the row."""

import io
import struct
import zlib
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
from tests.data.sources import png, random_images, write_folder, write_split

Load = Callable[..., DataSet]


def encoded(kind: str, size: int = 32) -> bytes:
    file = io.BytesIO()
    Image.fromarray(random_images(1, (size, size, 3))[0]).save(file, kind)
    return file.getvalue()


def broken_chunk() -> bytes:
    content = bytearray(encoded("PNG", 300))
    second = content.index(b"IDAT", content.index(b"IDAT") + 4)
    content[second : second + 4] = b"\0\1\2\3"
    return bytes(content)


def huge() -> bytes:
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    return file.getvalue()


def write_cells(folder: Path, cells: list[bytes]) -> None:
    for split in ("train", "test"):
        labels = [row % 2 for row in range(len(cells))]
        pq.write_table(pa.table({"image": cells, "label": labels}), folder / f"{split}.parquet")


@pytest.mark.parametrize("memory_limit", [1.0, 0])
@pytest.mark.parametrize(
    "cell",
    [broken_chunk(), encoded("JPEG")[:400], encoded("WEBP")[:60], huge(), b"<html>"],
    ids=["broken chunk", "cut JPEG", "cut WebP", "200 million pixels", "no image"],
)
def test_a_damaged_picture(tmp_path: Path, load_on_cpu: Load, cell: bytes, memory_limit: float) -> None:
    write_cells(tmp_path, [encoded("PNG")] * 39 + [cell])
    with pytest.raises(UserError, match=r"train split, row 39 of train.parquet: (the image is damaged|PIL cannot)"):
        load_on_cpu(f"parquet:{tmp_path}", memory_limit=memory_limit)


def test_a_damaged_picture_that_a_worker_process_meets(tmp_path: Path, load_on_cpu: Load) -> None:
    write_folder(tmp_path)
    cells = [png(image) for image in random_images(9, (8, 8, 3))] + [broken_chunk()]
    pq.write_table(pa.table({"image": cells, "label": [0, 1] * 5}), tmp_path / "test.parquet")
    data = load_on_cpu(f"parquet:{tmp_path}", memory_limit=0)
    with pytest.raises(UserError) as error:
        list(data.test.batches(4))
    assert "test split, row 9 of test.parquet: the image is damaged" in str(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("args", [{}, {"channels": 1}, {"channels": 3}])
@pytest.mark.parametrize("size", [(8, 8), (8, 8, 3)])
def test_deep_pictures_after_the_first(tmp_path: Path, load_on_cpu: Load, args: dict, size: tuple[int, ...]) -> None:
    deep = png(np.full((8, 8), 40_000, np.uint16))
    write_cells(tmp_path, [png(random_images(1, size)[0]), deep])
    with pytest.raises(UserError, match=r"row 1 of train.parquet: the image has more than 8 bits"):
        load_on_cpu(f"parquet:{tmp_path}", **args)


def test_a_deep_color_picture_is_refused_although_pil_reads_it_with_8_bits(tmp_path: Path, load_on_cpu: Load) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(8 * 3 * 2) for _ in range(8))  # a filter byte, then 8 pixels of 3 16-bit numbers
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    deep = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    write_cells(tmp_path, [png(random_images(1, (8, 8, 3))[0]), deep])
    with pytest.raises(UserError, match=r"row 1 of train.parquet: the image has more than 8 bits"):
        load_on_cpu(f"parquet:{tmp_path}")


def test_a_rotated_picture_is_turned(tmp_path: Path, load_on_cpu: Load) -> None:
    upright = np.zeros((8, 8), dtype=np.uint8)
    upright[:4] = 200
    stored, turn = Image.fromarray(np.rot90(upright)), Image.Exif()
    turn[0x0112] = 6  # turn by 90 degrees clockwise to show it
    file = io.BytesIO()
    stored.save(file, "PNG", exif=turn)
    write_cells(tmp_path, [png(upright), file.getvalue()] * 10)
    data = load_on_cpu(f"parquet:{tmp_path}")
    ((images,), _), _ = next(data.test.batches(2))
    assert torch.equal(images[0], images[1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", r"not a Parquet file[\s\S]*git lfs pull"),
        (b"", "not a Parquet file"),
    ],
    ids=["Git LFS pointer", "empty"],
)
def test_a_second_file_that_is_not_parquet(tmp_path: Path, load_on_cpu: Load, content: bytes, said: str) -> None:
    write_folder(tmp_path)
    (tmp_path / "train.parquet").rename(tmp_path / "train-0.parquet")
    (tmp_path / "train-1.parquet").write_bytes(content)
    with pytest.raises(UserError, match=rf"train-1.parquet: {said}"):
        load_on_cpu(f"parquet:{tmp_path}")


def test_a_second_file_without_the_column(tmp_path: Path, load_on_cpu: Load) -> None:
    write_split(tmp_path, "train-0", random_images(20, (8, 8)), [0, 1] * 10)
    write_split(tmp_path, "train-1", random_images(20, (8, 8)), [0, 1] * 10, ("img", "label"))
    write_split(tmp_path, "test", random_images(20, (8, 8)), [0, 1] * 10)
    with pytest.raises(UserError, match=r"train-1.parquet: unknown column 'image'; did you mean 'img'"):
        load_on_cpu(f"parquet:{tmp_path}")


def test_two_columns_of_one_name(tmp_path: Path, load_on_cpu: Load) -> None:
    write_folder(tmp_path)
    cells = pa.array([png(image) for image in random_images(4, (8, 8, 3))])
    labels = [pa.array([0, 1, 0, 1]), pa.array([1, 0, 1, 0])]
    pq.write_table(pa.Table.from_arrays([cells, *labels], ["image", "label", "label"]), tmp_path / "test.parquet")
    with pytest.raises(UserError, match=r"test.parquet: 2 columns have the name 'label'"):
        load_on_cpu(f"parquet:{tmp_path}")


def test_a_table_damaged_in_the_middle(tmp_path: Path, load_on_cpu: Load) -> None:
    write_folder(tmp_path, size=(16, 16, 3), train=200)
    path = tmp_path / "train.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train split, (after row \d+|row \d+) of train.parquet: .*damaged"):
        load_on_cpu(f"parquet:{tmp_path}")


def test_a_folder_whose_name_has_the_signs_of_patterns(tmp_path: Path, load_on_cpu: Load) -> None:
    pytest.importorskip("datasets")
    folder = write_folder(tmp_path / "a[1] *?:#é")
    assert load_on_cpu(f"parquet:{folder}", memory_limit=0).description["sizes"]["test"] == 10
