import logging
import multiprocessing
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from grape_bench.data import DataSet, cache, images
from grape_bench.data.cache import Decoded, cached, file_key, image_sums
from grape_bench.errors import UserError
from tests.data.sources import write_folder


def decoded() -> Decoded:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    return Decoded.of(images)


def must_not_decode() -> Decoded:
    raise AssertionError("decoded although it was cached")


def test_the_second_call_decodes_nothing() -> None:
    cached("key", decoded)
    again = cached("key", must_not_decode)
    assert isinstance(again.images, np.memmap)
    assert np.array_equal(again.images, decoded().images)
    assert np.array_equal(again.sums, decoded().sums)


def test_sums_are_those_of_the_pixels() -> None:
    assert image_sums(np.array([[[[3, 5]]]], dtype=np.uint8)).tolist() == [[[8, 34]]]
    pixels = decoded().images.astype(np.int64)
    assert np.array_equal(decoded().sums[..., 0], pixels.sum((2, 3)))
    assert np.array_equal(decoded().sums[..., 1], (pixels**2).sum((2, 3)))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_file_is_decoded_again(
    own_caches: Path, caplog: pytest.LogCaptureFixture, suffix: str, damage: str
) -> None:
    cached("key", decoded)
    (path,) = own_caches.glob(f"images/*{suffix}")
    data = bytearray(path.read_bytes())
    data[len(data) - 20 if suffix == ".npy" else 70] ^= 255
    path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        again = cached("key", decoded)
    assert "decoding again" in caplog.text
    assert np.array_equal(again.images, decoded().images)
    cached("key", must_not_decode)


def load_at_once(start: "multiprocessing.synchronize.Barrier", results: "multiprocessing.Queue") -> None:
    start.wait()
    for _ in range(20):
        results.put(cached("key", decoded).checksum())


def test_several_processes_at_once(own_caches: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=load_at_once, args=(start, results)) for _ in range(4)]
    for process in processes:
        process.start()
    checksums = {results.get(timeout=30) for _ in range(80)}
    for process in processes:
        process.join()
    assert checksums == {decoded().checksum()}
    assert sorted(path.suffix for path in own_caches.glob("images/*")) == [".npy", ".npz"]


def test_a_folder_is_decoded_once_and_again_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_on_cpu: Callable[..., DataSet]
) -> None:
    seen = []
    stack = images.stack
    monkeypatch.setattr(images, "stack", lambda cells, *a, **k: seen.append(len(cells)) or stack(cells, *a, **k))
    write_folder(tmp_path)
    for _ in range(2):
        load_on_cpu(f"parquet:{tmp_path}", limit=5)
        load_on_cpu(f"parquet:{tmp_path}", augment="flip-crop")
    assert seen == [40, 10]
    write_folder(tmp_path, test=11)
    load_on_cpu(f"parquet:{tmp_path}")
    assert seen == [40, 10, 11]


def test_the_key_of_a_large_file_is_its_size_and_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.data.cache.WHOLE", 4)
    monkeypatch.setattr("grape_bench.data.cache.EDGE", 2)
    keys = set()
    for content in (b"abcdefgh", b"abcdefgX", b"Xbcdefgh", b"abcdefghi"):
        (tmp_path / "file").write_bytes(content)
        keys.add(file_key(tmp_path / "file"))
    assert len(keys) == 4


def old(path: Path, content: bytes) -> Path:
    """A file written long ago. The digest of one that was written just now is not remembered."""
    path.write_bytes(content)
    os.utime(path, (1, 1))
    return path


def must_not_hash(path: Path) -> str:
    raise AssertionError("hashed although nothing changed")


def test_a_file_is_hashed_once_per_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old(tmp_path / "file", b"abcd")
    first = file_key(path)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_hash", must_not_hash)
        assert file_key(path) == first
    assert file_key(old(path, b"abcX")) != first, "same size, same modification time"
    path.unlink()
    assert file_key(old(path, b"abcd")) == first


def test_a_file_that_was_written_just_now_is_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcd")
    file_key(path)
    monkeypatch.setattr(cache, "_hash", must_not_hash)
    with pytest.raises(AssertionError):
        file_key(path)


def test_the_images_are_verified_once_per_change(own_caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached("key", decoded)
    (array,) = own_caches.glob("images/*.npy")
    os.utime(array, (1, 1))
    verified = []
    crc = cache.crc
    monkeypatch.setattr(cache, "crc", lambda values, start=0: verified.append(values.ndim) or crc(values, start))
    for _ in range(3):
        cached("key", must_not_decode)
    assert verified.count(4) == 1, "the images have four axes"
    whole = array.read_bytes()
    old(array, whole[:-1] + bytes([whole[-1] ^ 255]))
    assert np.array_equal(cached("key", decoded).images, decoded().images)


def test_a_file_is_hashed_where_the_cache_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPE_BENCH_CACHE", str(old(tmp_path / "not_a_folder", b"")))
    path = old(tmp_path / "file", b"abcd")
    assert file_key(path) == file_key(path) == sha256(b"abcd").hexdigest()


def test_a_cache_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAPE_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="export GRAPE_BENCH_CACHE"):
        cached("key", decoded)
