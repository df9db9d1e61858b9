"""Folders of WAV files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from grape_bench.data import DataSet
from grape_bench.errors import UserError

Load = Callable[..., DataSet]


def write(folder: Path, split: str, label: str, samples: np.ndarray, rate: int = 8000, number: int = 0) -> None:
    path = folder / split / label / f"{number}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        write(tmp_path, "train", "low", np.array([100, -100, 100], dtype=np.int16), number=number)
        write(tmp_path, "train", "high", np.array([200, -200], dtype=np.int16), number=number)
    write(tmp_path, "test", "high", np.array([0, 200], dtype=np.int16))
    return tmp_path


def test_folders_are_classes(folder: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(f"wav:{folder}", pad="mask")
    ((sound,), named), labels = next(data.test.batches(1))
    assert (data.shape, tuple(sound.shape), labels.tolist()) == ((1, 3), (1, 1, 3), [0])
    assert named["mask"].tolist() == [[True, True, False]]
    assert data.description["class_values"] == ["high", "low"]


def test_several_lengths_need_pad(folder: Path, load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match=r"row 0 of train/high/0.wav: the series have several lengths: 2 and 3"):
        load_on_cpu(f"wav:{folder}")


def test_a_damaged_file_and_another_sampling_rate_are_refused(folder: Path, load_on_cpu: Load) -> None:
    write(folder, "test", "low", np.array([1, 2], dtype=np.int16), rate=16_000)
    with pytest.raises(UserError, match=r"low/0.wav: the sampling rates differ: 8000 and 16000"):
        load_on_cpu(f"wav:{folder}", pad="zero")
    (folder / "test" / "low" / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"low/0.wav: the sound cannot be read"):
        load_on_cpu(f"wav:{folder}", pad="zero")


def test_a_sound_of_no_length_is_refused(folder: Path, load_on_cpu: Load) -> None:
    write(folder, "test", "low", np.zeros(0, dtype=np.int16))
    with pytest.raises(UserError, match=r"low/0.wav: the sound has no samples"):
        load_on_cpu(f"wav:{folder}", pad="zero")
