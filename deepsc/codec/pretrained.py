"""Which file pretrained weights were read from, so that its checksum can stand in a run's provenance."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from data.files.paths import is_file, is_folder


def weights_file(name: str) -> Path | None:
    """The file of weights that transformers or timm have just loaded.

    Args:
        name: a file, a folder, or a name on the Hugging Face hub, perhaps with @revision; the hub's files are
            in its cache once they are loaded.

    Returns:
        None if it is of another name than theirs.
    """
    path = Path(name)
    if is_file(path):
        return path
    repository, _, revision = name.partition("@")
    for file in ("model.safetensors", "pytorch_model.bin"):  # both look in this order
        if is_folder(path):
            weights: object = str(path / file)
        else:
            try:
                weights = try_to_load_from_cache(repository, file, revision=revision or None)
            except HFValidationError:  # no name on the hub
                return None
        if isinstance(weights, str) and is_file(Path(weights)):
            return Path(weights)
    return None
