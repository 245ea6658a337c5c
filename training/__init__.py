"""The command line and the training loop. Sits on everything of napari_hogseg but session and ui."""
