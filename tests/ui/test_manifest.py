"""The plugin manifest: valid, importable, in step with the code, and in the menus of a real window."""

from __future__ import annotations

import inspect
from pathlib import Path

import napari
import npe2
import pytest
from npe2.manifest.utils import import_python_name
from qtpy.QtWidgets import QApplication, QMainWindow

import napari_hogseg
from napari_hogseg.ui.dataset_dock import DataSetDock
from napari_hogseg.ui.reader import VIDEO_SUFFIXES
from napari_hogseg.ui.review_dock import ReviewDock
from napari_hogseg.ui.source_section import PLUGIN, VIDEO_FILTER

PLUGIN_MENU = "HOG segmentation"
REVIEW, DATA_SET = "Review (HOG segmentation)", "Data set (HOG segmentation)"
MANIFEST = Path(napari_hogseg.__file__).with_name("napari.yaml")


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_file(MANIFEST)


def test_manifest_is_what_the_installed_package_names(manifest):
    installed = npe2.PluginManifest.from_distribution(PLUGIN)
    assert installed.contributions == manifest.contributions
    assert (manifest.name, manifest.display_name) == (PLUGIN, "HOG segmentation")
    manifest.validate_imports()


def test_every_command_is_importable_and_named_after_the_plugin(manifest):
    commands = {command.id: command for command in manifest.contributions.commands}
    assert all(identifier.startswith(f"{PLUGIN}.") for identifier in commands)
    targets = {name: import_python_name(command.python_name) for name, command in commands.items()}
    assert targets[f"{PLUGIN}.review"] is ReviewDock
    assert targets[f"{PLUGIN}.data_set"] is DataSetDock
    assert all(map(callable, targets.values()))
    # napari gives the viewer to a parameter of this name only.
    for dock in (ReviewDock, DataSetDock):
        assert "napari_viewer" in inspect.signature(dock.__init__).parameters


def test_suffixes_are_those_of_reader_and_file_dialog(manifest):
    (reader,) = manifest.contributions.readers
    assert reader.accepts_directories
    assert set(reader.filename_patterns) == {f"*{suffix}" for suffix in VIDEO_SUFFIXES}
    assert all(f"*{suffix}" in VIDEO_FILTER for suffix in VIDEO_SUFFIXES)


def menu(title, parent):
    """The menu below `parent` with this title, filled as if it had been opened."""
    (found,) = [action.menu() for action in parent.actions() if action.text().replace("&", "") == title]
    found.aboutToShow.emit()
    return found


def entry(title, parent):
    (found,) = [action for action in parent.actions() if action.text() == title]
    return found


@pytest.fixture
def menu_bar(make_napari_viewer_proxy):
    make_napari_viewer_proxy(show=True)
    (window,) = [top for top in QApplication.topLevelWidgets() if isinstance(top, QMainWindow)]
    return window.menuBar()


def test_menu_opens_the_dock_and_hides_it(menu_bar, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    action = entry(REVIEW, menu(PLUGIN_MENU, menu("Plugins", menu_bar)))
    action.trigger()
    dock = menu_bar.window().findChild(ReviewDock)
    qtbot.waitUntil(dock.isVisible)
    action.trigger()
    qtbot.waitUntil(lambda: not dock.isVisible())
    assert dock.controller.close()


def test_dock_and_sample_are_where_one_looks_for_them(menu_bar):
    ours = menu(PLUGIN_MENU, menu("Plugins", menu_bar))
    for title in (REVIEW, DATA_SET):
        assert entry(title, ours).isEnabled()
    samples = menu("Open Sample", menu("File", menu_bar))
    assert entry("Cataract clip (generated) (HOG segmentation)", samples).isEnabled()


def test_the_layers_menu_reviews_a_clip_that_was_opened_as_a_layer(
    menu_bar, qtbot, tmp_path, monkeypatch, clip_folder
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    viewer = napari.current_viewer()
    viewer.open(str(clip_folder), plugin=PLUGIN)
    for title in ("Segment", "Annotate"):
        action = entry("Review this clip (HOG segmentation)", menu(title, menu("Layers", menu_bar)))
    action.trigger()
    dock = menu_bar.window().findChild(ReviewDock)
    qtbot.waitUntil(lambda: dock.controller.session is not None, timeout=20_000)
    first = dock.controller.session
    assert first.path == clip_folder
    qtbot.waitUntil(lambda: not dock.controller.layers.updating, timeout=20_000)
    # The session's folder, as dropped on the canvas, is gone back to; it is no layer.
    names = [layer.name for layer in viewer.layers]
    assert viewer.open(str(first.store.folder), plugin=PLUGIN) == []
    qtbot.waitUntil(lambda: dock.controller.session not in (None, first), timeout=20_000)
    qtbot.waitUntil(lambda: not dock.controller.layers.updating, timeout=20_000)
    assert [layer.name for layer in viewer.layers] == names
    assert menu_bar.window().findChildren(ReviewDock) == [dock]
    assert dock.controller.close()
