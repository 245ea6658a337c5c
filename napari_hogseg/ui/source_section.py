"""The dock's first two sections: which clip and masks, which model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_hogseg.ui.dataset_box import DataSetBox
from napari_hogseg.ui.reader import MASKS_KEY, SOURCE_KEY
from napari_hogseg.ui.section import ElidedLabel, Section

if TYPE_CHECKING:
    from napari_hogseg.session.clips import DataSetClip
    from napari_hogseg.ui.review_controller import ReviewController

PLUGIN = "napari-hogseg"
VIDEO_FILTER = "Videos (*.mp4 *.mkv *.avi *.mov *.mpg *.mpeg *.ts *.webm *.m4v *.wmv);;All files (*)"


class SourceSection(Section):
    """Browse for clip and masks; says what is open.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Source and masks", parent=parent)
        self._controller = controller
        self.clip_label = ElidedLabel("No clip is open.")
        self.masks_label = ElidedLabel("")
        self.dataset = DataSetBox()
        self.video_button = QPushButton("Video...")
        self.video_button.setToolTip("A video file, read frame by frame; it is never written")
        self.folder_button = QPushButton("Folder...")
        self.folder_button.setToolTip("A folder of frames, or a data set: its layout is recognised")
        self.masks_button = QPushButton("Masks...")
        self.masks_button.setToolTip(
            "A folder of PNG masks, named after the frames or as many as there are frames"
        )
        self.masks_button.setEnabled(False)
        self.layer_button = QPushButton("Use the opened layer")
        self.layer_button.setToolTip("Review what File > Open has put into the viewer")
        self.layer_button.setVisible(False)
        self.body.addLayout(_row(self.video_button, self.folder_button, self.masks_button))
        self.body.addWidget(self.layer_button)
        for widget in (self.clip_label, self.masks_label, self.dataset):
            self.body.addWidget(widget)
        self.video_button.clicked.connect(lambda: self._browse_video())
        self.folder_button.clicked.connect(lambda: self._browse_folder())
        self.masks_button.clicked.connect(lambda: self._browse_masks())
        self.layer_button.clicked.connect(lambda: self.use_layer())
        self.dataset.clip_chosen.connect(self._on_clip_chosen)
        self.dataset.layout_chosen.connect(self._on_layout_chosen)
        self.dataset.details_wanted.connect(self._show_details)
        for event in (controller.viewer.layers.events.inserted, controller.viewer.layers.events.removed):
            event.connect(self._on_layers_changed)
        self._on_layers_changed()
        controller.clip_changed.connect(self._on_clip_changed)
        controller.closing.connect(self.dataset.close_threads)

    def _browse_video(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a video", self._start_folder(), VIDEO_FILTER)
        if path:
            self._controller.open(Path(path))

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, "Open a folder of frames or a data set", self._start_folder()
        )
        if path:
            self._controller.open(Path(path))

    def _browse_masks(self) -> None:
        session = self._controller.session
        path = QFileDialog.getExistingDirectory(self, "Open a folder of masks", self._start_folder())
        if path and session is not None:
            self._controller.open(session.path, Path(path))

    def _opened_layer(self) -> Image | None:
        """Find the newest frames that our reader or sample opened and that are still seen."""
        ours = [
            layer
            for layer in self._controller.viewer.layers
            if isinstance(layer, Image) and layer.visible and SOURCE_KEY in layer.metadata
        ]
        return ours[-1] if ours else None

    def use_layer(self) -> bool:
        """Review the newest frames that were opened as a layer; False where there are none."""
        layer = self._opened_layer()
        if layer is not None:
            source, masks = layer.metadata[SOURCE_KEY], layer.metadata.get(MASKS_KEY)
            for other in self._controller.viewer.layers:
                if other.metadata.get(SOURCE_KEY) == source:
                    other.visible = False  # the review shows the same frames; a hidden layer takes no cell
            self._controller.open(Path(source), None if masks is None else Path(masks))
        self._on_layers_changed()
        return layer is not None

    def _on_layers_changed(self, _event: object = None) -> None:
        if not self._controller.closed:  # after that Qt may have deleted the button
            self.layer_button.setVisible(self._opened_layer() is not None)

    def _start_folder(self) -> str:
        session = self._controller.session
        return "" if session is None else str(session.path.parent)

    def _on_clip_chosen(self, clip: DataSetClip) -> None:
        self._controller.open(clip.path, dataset=self.dataset.dataset)

    def _on_layout_chosen(self, layout: str) -> None:
        dataset = self.dataset.dataset
        if dataset is not None:
            self._controller.open(dataset.root, layout=layout)

    def _show_details(self) -> None:
        dataset = self.dataset.dataset
        if dataset is not None:
            window = self._controller.viewer.window
            _, dock = window.add_plugin_dock_widget(PLUGIN, "Data set", tabify=True)
            dock.open(dataset.root, dataset.layout.reference)

    def _on_clip_changed(self) -> None:
        session = self._controller.session
        self.masks_button.setEnabled(session is not None)
        if session is None:
            return
        clip = session.clip
        num_frames, height, width = session.store.shape
        self.clip_label.set_text(
            f"{clip.source.name}: {num_frames} frames, {width} x {height}", tooltip=clip.source.path
        )
        self.masks_label.set_text(f"Masks: {clip.about_masks}", tooltip=session.masks or clip.source.path)
        self.dataset.show_dataset(clip.dataset, Path(clip.source.path))


class ModelSection(Section):
    """Load a model, see which one predicts, go back to the one before.

    Parameters
    ----------
    controller : ReviewController
    parent : QWidget, optional
    """

    def __init__(self, controller: ReviewController, parent: QWidget | None = None) -> None:
        super().__init__("Model", parent=parent)
        self._controller = controller
        self.name_label = ElidedLabel("No model is loaded.")
        self.detail_label = ElidedLabel("")
        self.detail_label.setVisible(False)
        self.load_button = QPushButton("Load...")
        self.load_button.setToolTip("A run folder, a checkpoint or a model folder")
        self.back_button = QPushButton("Back to previous")
        self.back_button.setEnabled(False)
        self.body.addLayout(_row(self.load_button, self.back_button))
        self.body.addWidget(self.name_label)
        self.body.addWidget(self.detail_label)
        self.load_button.clicked.connect(lambda: self._browse())
        self.back_button.clicked.connect(lambda: controller.use_previous_model())
        controller.model_changed.connect(self._on_model_changed)

    def _browse(self) -> None:
        model = self._controller.model
        start = "" if model is None else str(model.path.parent)
        path = QFileDialog.getExistingDirectory(self, "Load a model or run folder", start)
        if path:
            self._controller.load_model(Path(path))

    def _on_model_changed(self) -> None:
        model, previous = self._controller.model, self._controller.previous_model
        if model is None:
            return
        predictor = model.predictor
        self.name_label.set_text(predictor.name, tooltip=model.path)
        self.detail_label.set_text(
            f"{predictor.spec.model.network} on {predictor.device}, digest {predictor.digest[:8]}",
            tooltip=predictor.digest,
        )
        self.detail_label.setVisible(True)
        self.back_button.setEnabled(previous is not None)
        self.back_button.setToolTip("" if previous is None else f"Use {previous.predictor.name} again")


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return row
