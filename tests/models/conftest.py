from typing import Any

import pytest

from tests.models.sets import write_sets


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The task keys of a small data set of each kind."""
    return write_sets(tmp_path_factory.mktemp("sets"))
