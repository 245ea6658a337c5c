"""What interface tests share: napari's own warnings let through, and the review fixtures."""

from __future__ import annotations

import pytest
from review_cases import clip_folder, model_folder, review  # noqa: F401 - fixtures

#: napari 0.9 itself, on PyQt5 only; each named as narrowly as its text allows.
NAPARI_WARNINGS = [
    "ignore:System theme detection requires a Qt6 backend:UserWarning",
    "ignore:napari support for the PyQt5 backend is deprecated:FutureWarning",
    "ignore:napari support for the PyQt5 backend is deprecated:DeprecationWarning",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/ui" in item.path.as_posix():
            for text in NAPARI_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(text))
