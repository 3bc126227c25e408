"""Files of a map: which there are, whether they may be written, whether a finished one is this sweep's."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.sweep import Sweep, describe
from data.files.errors import ToolkitError, flag_of
from data.files.paths import exists, is_file

logger = logging.getLogger(__name__)

_APART = (
    "codecs",
    "local",
    "output",
    "device",
    "data_dir",
    "task",
    "overwrite",
    "mat",
    "beside",
    "also_beside",
    "skip_bad",
    "bleu_tokenize",
)
"""Of a config, what may differ between maps that are equal: places, and what the map itself says."""
_DRAWN = ("beside", "also_beside")
"""Of a config, what the plot alone shows."""
_AXES = ("k", "k_text", "k_image", "snr_db")
_FIX = "give another --output, or --overwrite to replace it"


def output_paths(config: MapConfig) -> list[Path]:
    """The map, and what is written beside it."""
    suffixes = (".json", ".csv", ".png", *((".mat",) if config.mat else ()))
    return [Path(config.output).with_suffix(suffix) for suffix in suffixes]


def prepare_outputs(config: MapConfig) -> None:
    """Find out before anything is measured whether the files can be written; whoever calls holds the lock.

    Temporary files of a killed call are removed.

    Raises:
        ToolkitError: naming the one that cannot.
    """
    for path in output_paths(config):
        for left in path.parent.glob("*.part"):
            if left.name.startswith(f".{path.name}."):
                left.unlink(missing_ok=True)
        if exists(path) and not is_file(path):
            raise ToolkitError(f"--output: cannot write {path}: it is no file; {_FIX.partition(',')[0]}")
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part"):
                pass
        except OSError as error:
            raise ToolkitError(f"--output: cannot write {path}: {error.strerror or error}") from error


def require_free(config: MapConfig) -> None:
    """Refuse an output that is there, before models are trained for another.

    Raises:
        ToolkitError: if it is, and is not to be replaced.
    """
    if exists(config.output) and not config.overwrite:
        raise ToolkitError(f"--output: {config.output} is there, but not all of its trained models; {_FIX}")


def finished_map(sweep: Sweep) -> AccuracyMap | BimodalMap | None:
    """The map of this very sweep, if it is measured; None if there is none, or if it is to be replaced.

    Where files and models lie, and on what device it was measured, makes no difference.

    Raises:
        ToolkitError: if something else is there, and is not to be replaced.
    """
    path = Path(sweep.config.output)
    if not exists(path):
        return None
    try:
        stored = load_map(path)
    except ToolkitError as error:
        if sweep.config.overwrite:
            return None
        raise ToolkitError(f"--output: no accuracy map to go on with ({error}); {_FIX}") from error
    changed = _differences(sweep, stored)
    if changed and not sweep.config.overwrite:
        raise ToolkitError(
            f"--output: {path} holds a map that other settings made ({'; '.join(changed)}); {_FIX}"
        )
    return None if changed else stored


def is_complete(sweep: Sweep, stored: AccuracyMap | BimodalMap) -> bool:
    """Whether all that belongs to a finished map is there, too, and says so in the log."""
    config = stored.provenance.get("config")
    drawn = [config.get(name) or None for name in _DRAWN] if isinstance(config, dict) else [None, None]
    same = drawn == [json.loads(json.dumps(getattr(sweep.config, name))) or None for name in _DRAWN]
    complete = same and all(is_file(path) for path in output_paths(sweep.config))
    if complete:
        logger.info("finished already: %s; remove it to measure again", sweep.config.output)
    return complete


def origin(sweep: Sweep) -> dict[str, Any]:
    """What a map follows from, for its provenance."""
    config = dataclasses.asdict(sweep.config) | {"channel": sweep.channel.kind}
    del config["overwrite"]
    return {
        "config": config,
        "seed": sweep.config.seed,
        "data_sha256": sweep.test.dataset.sha256,
        "dataset": sweep.test.dataset.name,
        "test_items": sweep.test.items,
        "channel": dataclasses.asdict(sweep.channel),
        "codecs": [describe(checkpoint) for checkpoint in sweep.codecs],
        "local": describe(sweep.local),
        **sweep.baseline,
        **({"metric_options": dict(options)} if (options := sweep.test.metric_options) else {}),
    }


def _differences(sweep: Sweep, stored: AccuracyMap | BimodalMap) -> list[str]:
    """In what a stored map differs from the one this sweep would write, as "--limit was 60, is now 3"."""
    ks = [sorted(set(axis)) for axis in zip(*sweep.owners, strict=True)]
    wanted: list[Any] = [*ks, *[list(sweep.snr_db)] * len(ks)]
    names = [f"k_{name}" if name else "k" for name in sweep.kind.transmissions] + ["snr_db"] * len(ks)
    pairs: list[tuple[str, Any, Any]] = [
        ("modality", stored.modality, sweep.kind.name),
        ("task", stored.task, sweep.task),
    ]
    pairs += zip(names, map(list, stored.axes), wanted, strict=False)
    ours, theirs = _with_identities(sweep, origin(sweep)), _with_identities(sweep, stored.provenance)
    config = theirs.get("config")
    before: dict[str, Any] = config if isinstance(config, dict) else {}
    for name, value in ours.pop("config").items():
        if name not in (*_APART, *_AXES):
            pairs.append((name, before.get(name), value))
    texts = [
        f"{flag_of(name)} was {_brief(old)}, is now {_brief(new)}" for name, old, new in pairs if old != new
    ]
    for name, text in _OTHERS.items():
        if theirs.get(name) != ours.get(name) and not texts:
            texts.append(text)
    return texts


def _with_identities(sweep: Sweep, source: Mapping[str, Any]) -> dict[str, Any]:
    """An origin, what it says of models being their identities.

    Maps of earlier releases tell models by the checksums of their files.
    """
    same = {checkpoint.file_sha256: checkpoint.sha256 for checkpoint in sweep.checkpoints}

    def identity(model: object) -> object:
        sha256 = model.get("sha256") if isinstance(model, dict) else None
        return same.get(sha256, sha256) if isinstance(sha256, str) else None

    document: dict[str, Any] = json.loads(json.dumps(dict(source)))
    codecs = document.get("codecs")
    document["codecs"] = [identity(model) for model in codecs] if isinstance(codecs, list) else None
    document["local"] = identity(document.get("local"))
    return document


_OTHERS = {
    "codecs": "--codec was another model",
    "local": "--local was another model",
    "data_sha256": "the data were others",
    "dataset": "the data were others",
    "test_items": "the number of test items was another",
    "channel": "the channel's fading, CSI or Rician factor was another",
    "seed": "--seed was another",
    "metric_options": "--bleu-tokenize was another",
}
"""What is said of a part of a map's origin that no flag of its own tells."""


def _brief(value: Any) -> str:
    """A value of a flag as a line can hold it."""
    if isinstance(value, list):
        text = ",".join(f"{one:g}" if isinstance(one, float | int) else str(one) for one in value)
        return text if len(text) <= 60 else f"{text[:50]}... ({len(value)} values)"
    return "none" if value is None else str(value)
