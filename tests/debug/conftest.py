"""Models with and without a planted fault, made once for all tests of a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debug.planted import SPREAD, export

Exported = tuple[Path, Path, dict[str, Path]]


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return model, data and {format: int8 file}; the layer ``spread`` has channels of 1 to 1000 times the range."""
    return export(tmp_path_factory.mktemp("planted"), SPREAD)


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return the same without the fault."""
    return export(tmp_path_factory.mktemp("healthy"), (1.0, 1.0, 1.0))
