import pytest

from grape_bench.data.options import TABLE_ONLY, ImageOptions, parse
from grape_bench.errors import UserError


def test_the_defaults() -> None:
    options = parse("mnist", {})
    assert options == ImageOptions()
    assert options.model_dump() == {
        "limit": None,
        "validation": None,
        "augment": "none",
        "augment_with": None,
        "rand_augment": None,
        "mixup": 0.0,
        "cutmix": 0.0,
        "normalize": "train",
        "resize": None,
        "channels": None,
        "image_column": None,
        "label_column": None,
        "test_split": "test",
        "memory_limit": 2.0,
    }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"reize": 3}, "dataset_args of 'mnist': unknown argument 'reize'; did you mean 'resize' or 'normalize'?"),
        ({"limit": 0}, "dataset_args of 'mnist': limit = 0\n  allowed: a number of samples, 1 or more"),
        ({"limit": "3"}, "limit = '3'"),
        ({"limit": 3.0}, "limit = 3.0"),
        ({"validation": float("nan")}, "validation = nan\n  allowed: a fraction of the training split"),
        ({"validation": 0.0}, "validation = 0.0"),
        ({"augment": "flipcrop"}, "unknown augment 'flipcrop'; did you mean 'flip-crop'?\n  allowed: flip-crop, none"),
        ({"mixup": -0.2}, "mixup = -0.2\n  allowed: the α of a beta distribution, 0 or more"),
        ({"channels": True}, "channels = True\n  allowed: 1 or 3"),
        ({"image_column": ""}, "image_column = ''\n  allowed: the name of a column"),
        ({"memory_limit": float("inf")}, "memory_limit = inf\n  allowed: GiB, 0 or more"),
        ({"memory_limit": False}, "memory_limit = False"),
    ],
)
def test_unknown_keys_and_bad_values_are_refused(args: dict, said: str) -> None:
    with pytest.raises(UserError) as error:
        parse("mnist", args)
    assert said in str(error.value)


def test_an_unknown_key_is_reported_before_a_bad_value() -> None:
    with pytest.raises(UserError, match="did you mean 'resize'"):
        parse("mnist", {"limit": 0, "reize": 8})


def test_a_source_without_tables_lists_only_its_own_options() -> None:
    with pytest.raises(UserError, match="unknown argument 'test_split'") as error:
        parse("digits", {"test_split": "train"}, without=TABLE_ONLY)
    allowed = "augment, augment_with, channels, cutmix, limit, mixup, normalize, rand_augment, resize, validation"
    assert error.value.allowed == allowed


def test_a_whole_number_of_gibibytes_is_fine() -> None:
    assert parse("mnist", {"memory_limit": 1}).memory_limit == 1.0
