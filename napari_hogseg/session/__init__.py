"""What a reviewer made: annotations and training jobs. No torch, no Qt."""
