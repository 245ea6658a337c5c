"""What every test shares: where the real data lies, and one torch thread so that timings do not fight."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.command_line"]

PROJECT_ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with `vocalfolds/` and `videos/`; the test is skipped where it is missing."""
    root = Path(os.environ.get("HOGSEG_TEST_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not (root / "vocalfolds").is_dir():
        pytest.skip(f"real surgical frames are not here ({root}); set HOGSEG_TEST_DATA")
    return root


@pytest.fixture(autouse=True)
def _single_torch_thread() -> None:
    import torch  # only where a test runs, so that collecting stays quick

    torch.set_num_threads(1)
