"""Files on disk: atomic writes, digests, images, video. Knows nothing of segmentation."""
