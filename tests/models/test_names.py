import subprocess
import sys

import pytest

from grape_bench.errors import UserError
from grape_bench.models.names import check_name


@pytest.mark.parametrize("model_id", ["mlp", "cnn", "resnet20", "timm:resnet18", "hf:google/vit", "torchvision:vgg11"])
def test_names_and_sources_are_known(model_id: str) -> None:
    check_name(model_id)


@pytest.mark.parametrize(
    ("model_id", "said"),
    [
        ("mpl", "did you mean 'mlp'"),
        ("tim:resnet18", "did you mean 'timm'"),
        ("timm:", "the name after the source is missing"),
        ("missing.py:factory", "no file 'missing.py'"),
    ],
)
def test_a_wrong_id_is_refused(model_id: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_name(model_id)


def test_checking_names_does_not_import_torch() -> None:
    code = (
        "import sys, grape_bench.models.names as m, grape_bench.data.names as d, grape_bench.data.options\n"
        "m.check_name('timm:resnet18'); d.check_name('hf:a/b'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
