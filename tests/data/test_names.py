import pytest

from grape_bench.data.names import check_name
from grape_bench.errors import UserError


@pytest.mark.parametrize("dataset_id", ["digits", "cifar10", "hf:owner/name", "parquet:some/folder"])
def test_names_and_sources_are_known(dataset_id: str) -> None:
    check_name(dataset_id)


@pytest.mark.parametrize(
    ("dataset_id", "said"),
    [
        ("mnst", "did you mean 'mnist'"),
        ("parket:x", "did you mean 'parquet'"),
        ("hf:", "the name after the source is missing"),
    ],
)
def test_a_wrong_id_is_refused(dataset_id: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_name(dataset_id)
