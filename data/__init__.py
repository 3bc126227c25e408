"""Corpora: find or download with checksum, split, tokenise. Knows nothing of models."""
