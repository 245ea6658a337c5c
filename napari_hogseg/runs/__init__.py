"""The run folder: configuration, typed events, checkpoints. All that trainer and desktop share."""
