"""FLOPs counted in a run of the real model."""
