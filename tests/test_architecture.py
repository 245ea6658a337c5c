"""The rules of the house that a machine can check: layers, what the core may load, sizes, pins.

What ruff and mypy check already (annotations, `print`, banned calls) is not repeated here.
"""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT_ROOT = Path(__file__).parents[1]
PACKAGES = ("napari_hogseg", "training", "sample_data")
CHECKED_FOLDERS = (*PACKAGES, "tests", "benchmarks", "docs")
DESKTOP = (
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "qtpy",
    "superqt",
    "napari",
    "magicgui",
    "vispy",
    "pyqtgraph",
)
MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 500

# Imports one module after the other and stops at the first that brings something it must not.
IMPORT_EACH = """
import importlib, sys
banned, modules = (argument.split(",") for argument in sys.argv[1:])
for name in modules:
    importlib.import_module(name)
    if found := sorted(set(banned) & set(sys.modules)):
        sys.exit(f"importing {name} brings {', '.join(found)}")
"""


def source_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT_ROOT / folder).rglob("*.py"))


def module_names(*packages: str) -> list[str]:
    """Dotted names of every module but `__main__`, which only starts a program."""
    names = []
    for path in source_files(*packages):
        parts = path.relative_to(PROJECT_ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def relative(path: Path) -> str:
    return path.relative_to(PROJECT_ROOT).as_posix()


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def import_in_child(modules: list[str], banned: tuple[str, ...]) -> None:
    """Import `modules` in a fresh interpreter; fail where one of `banned` comes along."""
    command = [sys.executable, "-P", "-c", IMPORT_EACH, ",".join(banned), ",".join(modules)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stderr


def project_table() -> dict:
    return tomllib.loads(text(PROJECT_ROOT / "pyproject.toml"))["project"]


def declared_requirements() -> list[Requirement]:
    """What the set-up commands install: the base, the desktop with either binding, the tests."""
    project = project_table()
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + [
        line for extra in ("napari", "pyqt5", "pyqt6", "test") for line in extras[extra]
    ]
    return [r for r in map(Requirement, lines) if r.name != project["name"]]


def test_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    child = subprocess.run(
        [lint_imports, "--no-cache"], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=300
    )
    assert child.returncode == 0, child.stdout + child.stderr


def test_core_brings_no_desktop() -> None:
    core = [name for name in module_names(*PACKAGES) if not name.startswith("napari_hogseg.ui")]
    assert {"napari_hogseg.io", "napari_hogseg.session", "training.cli", "sample_data"} <= set(core)
    import_in_child(core, DESKTOP)


def test_session_brings_no_torch() -> None:
    import_in_child(module_names("napari_hogseg/session"), ("torch", *DESKTOP))


def test_the_check_sees_a_desktop_import() -> None:
    with pytest.raises(AssertionError, match=r"importing qtpy brings .*qtpy"):
        import_in_child(["napari_hogseg", "qtpy"], DESKTOP)


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{relative(path)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in source_files(*CHECKED_FOLDERS)
        for node in ast.walk(ast.parse(text(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not too_long, "\n".join(too_long)


def test_no_file_is_too_long() -> None:
    lengths = {relative(path): len(text(path).splitlines()) for path in source_files(*CHECKED_FOLDERS)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_every_module_says_what_it_owns() -> None:
    """Empty files aside: pytest wants them in folders of tests."""
    sources = {relative(path): text(path) for path in source_files(*CHECKED_FOLDERS)}
    assert [name for name, code in sources.items() if code and not ast.get_docstring(ast.parse(code))] == []


def test_base_install_needs_no_qt() -> None:
    """Followed through the installed packages: a dependency's dependency may not need Qt either."""
    waiting = [Requirement(line) for line in project_table()["dependencies"]]
    reached: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in reached:
            continue
        reached.add(key)
        for line in importlib.metadata.requires(requirement.name) or []:
            needed = Requirement(line)
            extras = requirement.extras | {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    names = {name for name, _ in reached}
    assert "torch" in names
    assert names.isdisjoint(canonicalize_name(name) for name in DESKTOP)


def test_every_requirement_is_pinned_within_its_range() -> None:
    lines = text(PROJECT_ROOT / "constraints.txt").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }
    assert versions["torch"] == "2.13.0"
    for requirement in declared_requirements():
        pinned = versions.get(canonicalize_name(requirement.name), "nothing")
        assert pinned in requirement.specifier, (
            f"constraints.txt pins {pinned}, pyproject.toml wants {requirement}"
        )


def test_one_qt_binding_is_installed() -> None:
    installed = {canonicalize_name(d.metadata["Name"]) for d in importlib.metadata.distributions()}
    assert len(installed & {"pyqt5", "pyqt6", "pyside2", "pyside6"}) == 1
