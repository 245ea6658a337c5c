"""The napari plugin: the only place for napari, Qt and magicgui."""
