"""What a user gets from the index: the wheel, built from the sdist, installed where no source tree helps.

Owns the wheel's contents and that it runs alone; what its commands compute is tested elsewhere.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT_ROOT = Path(__file__).parents[2]
PACKAGES = ("napari_hogseg", "training", "sample_data")
MAX_SAMPLE_BYTES = 6_000_000  # the sample clip, its masks and the small model

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path) -> str:
    child = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stdout + child.stderr
    return child.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release makes it: sdist first, then the wheel from that; no network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, PROJECT_ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the programs of an environment that holds the wheel, and sees this one's dependencies last.

    A line in a .pth file adds a folder and reads no .pth file in it: the editable install stays unseen.
    """
    root = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", root, cwd=root)
    paths = sysconfig.get_paths(vars={"base": str(root), "platbase": str(root)})
    Path(paths["purelib"], "dependencies.pth").write_text(
        sysconfig.get_path("purelib") + "\n", encoding="utf-8"
    )
    python = Path(paths["scripts"], Path(sys.executable).name)
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--isolated")
    # Without --ignore-installed pip would take the editable install seen through the .pth file for this one.
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=root)
    return python.parent


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    in_tree = {
        path.relative_to(PROJECT_ROOT).as_posix()
        for package in PACKAGES
        for path in (PROJECT_ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert in_tree - names == set()
    for required in ("napari_hogseg/napari.yaml", *(f"{package}/py.typed" for package in PACKAGES)):
        assert required in names
    assert "napari_hogseg/data/layout_tables/cadis-task2.toml" in names
    assert any(name.startswith("training/recipes/") and name.endswith(".toml") for name in names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    strangers = {name.split("/")[0] for name in names} - set(PACKAGES)
    assert all(name.endswith(".dist-info") for name in strangers), strangers


def test_wheel_holds_the_sample_within_its_size(wheel: Path) -> None:
    entries = [
        entry for entry in zipfile.ZipFile(wheel).infolist() if entry.filename.startswith("sample_data/")
    ]
    suffixes = {Path(entry.filename).suffix for entry in entries}
    assert {".mp4", ".png", ".safetensors"} <= suffixes, "the clip, its masks or the model is missing"
    data_bytes = sum(entry.file_size for entry in entries if not entry.filename.endswith(".py"))
    assert data_bytes <= MAX_SAMPLE_BYTES


def test_base_requirements_name_no_qt(wheel: Path) -> None:
    (metadata,) = importlib.metadata.distributions(path=[str(wheel)])
    base = [r for r in map(Requirement, metadata.requires or []) if "extra" not in str(r.marker)]
    assert "torch" in {r.name for r in base}
    assert {r.name.lower() for r in base}.isdisjoint(
        {"napari", "qtpy", "pyqt5", "pyqt6", "pyside6", "pyqtgraph"}
    )
    assert metadata.metadata["License-Expression"] == "BSD-3-Clause"


def test_installed_command_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    help_text = run(installed / "hogseg", "--help", cwd=tmp_path)
    for command in ("train", "evaluate", "finetune", "predict", "hog", "score", "selftest", "demo"):
        assert command in help_text
    assert list(tmp_path.iterdir()) == []


def test_modules_and_data_come_from_that_environment(installed: Path, tmp_path: Path) -> None:
    program = (
        "import napari_hogseg, training, sample_data, npe2\n"
        "for module in (napari_hogseg, training, sample_data): print(module.__file__)\n"
        "print(npe2.PluginManifest.from_distribution('napari-hogseg').package_version)\n"
    )
    *files, version = run(installed / "python", "-c", program, cwd=tmp_path).splitlines()
    assert len(files) == len(PACKAGES)
    assert all(Path(file).is_relative_to(installed.parent) for file in files), files
    assert version == importlib.metadata.version("napari-hogseg")
