"""Is a sweep finished? Whether the map that lies there is this sweep's; whether its files may be written."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.measure import Sweep
from accuracy_maps.sweep.models import describe, k_field
from data.files.atomic import remove_unfinished, require_writable
from data.files.errors import ToolkitError
from data.files.paths import exists, is_file
from data.files.runs import Identity
from data.settings import named

logger = logging.getLogger(__name__)

_DRAWN = ("beside", "also_beside")
"""Of a config, what the plot alone shows."""
_AXES = ("k", "k_text", "k_image", "snr_db")
_APART = (
    "codecs", "local", "output", "device", "data_dir", "task", "overwrite", "mat", "skip_bad",
    "bleu_tokenize", *_DRAWN, *_AXES
)  # fmt: skip
"""Of a config, what may differ between maps that are equal: places, and what the map itself says."""
_PARTS = ("codecs", "local", "data_sha256", "dataset", "test_items", "channel", "seed", "metric_options")
"""Of a map's origin, what no flag of its own tells, or not all of it."""


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
    remove_unfinished(Path(config.output).parent)
    for path in output_paths(config):
        require_writable(path, "output")


def require_free(config: MapConfig) -> None:
    """Refuse an output that is there, before models are trained for another.

    Raises:
        ToolkitError: if it is, and is not to be replaced.
    """
    if exists(config.output) and not config.overwrite:
        raise _refused(f"{config.output} is there, but not all of its trained models")


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
        raise _refused(f"no accuracy map to go on with ({error})") from error
    changed = _differences(sweep, stored)
    if changed and not sweep.config.overwrite:
        raise _refused(f"{path} holds a map that other settings made ({'; '.join(changed)})")
    return None if changed else stored


def is_complete(sweep: Sweep, stored: AccuracyMap | BimodalMap) -> bool:
    """Whether all that belongs to a finished map is there, too, and says so in the log."""
    config = stored.provenance.get("config")
    before = config if isinstance(config, dict) else {}
    drawn, wanted = (
        Identity.of({name: source.get(name) or None for name in _DRAWN})
        for source in (before, dataclasses.asdict(sweep.config))
    )
    complete = not wanted.differences(drawn) and all(is_file(path) for path in output_paths(sweep.config))
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
    names = [k_field(name) for name in sweep.kind.transmissions]
    names += [f"snr_{name}_db" if name else "snr_db" for name in sweep.kind.transmissions]
    ks = [sorted(set(axis)) for axis in zip(*sweep.owners, strict=True)]
    wanted = dict(zip(names, [*ks, *[sweep.snr_db] * len(ks)], strict=True))
    there = dict(zip(names, stored.axes, strict=False))
    identity = _identity(sweep, origin(sweep), modality=sweep.kind.name, task=sweep.task, axes=wanted)
    other = _identity(sweep, stored.provenance, modality=stored.modality, task=stored.task, axes=there)
    flags, others = [], []
    for name, (before, now) in identity.differences(other).items():
        part, setting = name.partition(".")[0], name.rpartition(".")[2]
        if part in _PARTS:
            others.append(_other(part))
        else:
            setting = "snr_db" if setting.startswith("snr_") else setting
            flags.append(f"{named(setting)} was {_brief(before)}, is now {_brief(now)}")
    return list(dict.fromkeys(flags or others))


def _other(part: str) -> str:
    texts = {
        "codecs": f"{named('codecs')} was another model",
        "local": f"{named('local')} was another model",
        "test_items": "the number of test items was another",
        "channel": "the channel's fading, CSI or Rician factor was another",
        "seed": f"{named('seed')} was another",
        "metric_options": f"{named('bleu_tokenize')} was another",
    }
    return texts.get(part, "the data were others")


def _identity(
    sweep: Sweep, source: Mapping[str, Any], *, modality: str, task: str, axes: Mapping[str, Any]
) -> Identity:
    """What decides a map, of its origin; what that says of models being which they are.

    Maps of earlier releases tell models by the checksums of their files.
    """
    same = {checkpoint.file_sha256: checkpoint.sha256 for checkpoint in sweep.checkpoints}

    def which(model: object) -> object:
        sha256 = model.get("sha256") if isinstance(model, dict) else None
        return same.get(sha256, sha256) if isinstance(sha256, str) else None

    config, codecs = source.get("config"), source.get("codecs")
    before = config if isinstance(config, dict) else {}
    known = [field.name for field in dataclasses.fields(MapConfig) if field.name not in _APART]
    return Identity.of(
        {
            "modality": modality,
            "task": task,
            "axes": axes,
            "config": {name: before.get(name) for name in known},
            **{name: source.get(name) for name in _PARTS},
            "codecs": [which(model) for model in codecs] if isinstance(codecs, list) else None,
            "local": which(source.get("local")),
        }
    )


def _brief(value: Any) -> str:
    """A value of a flag as a line can hold it."""
    if isinstance(value, list):
        text = ",".join(f"{item:g}" if isinstance(item, float | int) else str(item) for item in value)
        return text if len(text) <= 60 else f"{text[:50]}... ({len(value)} values)"
    return "none" if value is None else str(value)


def _refused(why: str) -> ToolkitError:
    return ToolkitError(
        f"{named('output')}: {why}; give another {named('output')}, or {named('overwrite')} to replace it"
    )
