"""The trained models behind a map: opened, checked that they belong together, told apart."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accuracy_maps.grid import shortest
from accuracy_maps.map import AccuracyMap
from accuracy_maps.sweep.config import MapConfig
from data.files.errors import ToolkitError, parsing, raise_config_errors
from data.files.runs import Identity
from data.settings import named
from deepsc.zoo.find import resolve

if TYPE_CHECKING:
    from deepsc.modality import Checkpoint

logger = logging.getLogger(__name__)


def open_model(place: str, device: str, setting: Literal["codecs", "local"] = "codecs") -> Checkpoint:
    """Load a checkpoint, and take its config apart now rather than after the sweep.

    Args:
        place: its folder, or the name of a codec that ships.
        device: where the model goes.
        setting: that names the place: which model of a codec that ships.
    """
    from deepsc.checkpoint import from_pretrained

    folder = resolve(place, "local" if setting == "local" else "codec", setting=setting)
    checkpoint = from_pretrained(folder, device=device)
    with parsing(Path(folder) / "config.json"):
        describe(checkpoint)
    return checkpoint


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a map's provenance says of a checkpoint."""
    names = ("dataset", "task", "codec", "training", "init_from", "provenance")
    return {
        "sha256": checkpoint.sha256,
        "metrics": dict(checkpoint.metrics),
        **{name: checkpoint.document[name] for name in names},
    }


def warn_if_unfinished(folder: str, checkpoint: Checkpoint) -> None:
    """Name a model whose training is not over in the log."""
    from deepsc.checkpoint import is_over, position_of

    training = checkpoint.training
    try:
        position = position_of(folder)
    except ToolkitError:  # the state serves to go on with a training, not to measure
        return
    if position is not None and not is_over(training, position):
        logger.warning(
            "%s: its training is not over, epoch %d of %d is done; train-deepsc --resume goes on with it",
            folder, position["epoch"], training.epochs
        )  # fmt: skip


def require_modality(config: MapConfig, checkpoints: Sequence[Checkpoint], name: str) -> None:
    """Check that checkpoints, the local one last, are of a modality, and that their data read `data_dir`.

    Raises:
        ToolkitError: naming the first that is not.
    """
    settings = [*(("codecs", folder) for folder in config.codecs), ("local", config.local)]
    for (setting, folder), checkpoint in zip(settings, checkpoints, strict=True):
        if (stored := checkpoint.modality.name) != name:
            raise ToolkitError(
                f"{named(setting)}: {folder} is of modality {stored!r}, {named('modality')} says {name!r}"
            )
        corpus = checkpoint.corpus
        raise_config_errors(corpus.unread(corpus.dataset, {"data_dir": config.data_dir}))


def require_family(config: MapConfig, codecs: Sequence[Checkpoint], local: Checkpoint) -> None:
    """Check that codecs belong to each other and to the local model.

    Raises:
        ToolkitError: naming the fields of config.json that differ.
    """
    classes = local.document.get("class_names")  # which earlier releases did not write
    for folder, codec in zip(config.codecs, codecs, strict=True):
        this = f"{named('codecs')}: {folder}"
        beside_local, beside_first = f"{named('local')} {config.local}", config.codecs[0]
        if not codec.codec.config.uplinks:
            raise ToolkitError(f"{this} is a local model; give one trained over a channel")
        if differing := _differing(codec.document, local.document, "modality", "task", "corpus"):
            raise ToolkitError(f"{this} and {beside_local} differ in {differing}")
        first = codecs[0]
        if differing := _differing(codec.codec.config.model_name, first.codec.config.model_name):
            raise ToolkitError(f"{this} and {beside_first} are different models, they differ in {differing}")
        channels = (one.document["training"] for one in (codec, first))
        if differing := _differing(*channels, "channel", "fading", "csi", "rician_factor"):
            raise ToolkitError(f"{this} and {beside_first} differ in {differing}")
        if classes is not None and (names_there := codec.document.get("class_names", classes)) != classes:
            raise ToolkitError(f"{this} has the classes {names_there}, {beside_local} has {classes}")


def owners_of(
    config: MapConfig, codecs: Sequence[Checkpoint], transmissions: tuple[str, ...]
) -> dict[tuple[int, ...], int]:
    """Number of the codec that serves each k of the map, one of each transmission.

    Raises:
        ToolkitError: if none or several are trained for one.
    """
    owners: dict[tuple[int, ...], int] = {}
    for model, (folder, codec) in enumerate(zip(config.codecs, codecs, strict=True)):
        for ks in itertools.product(*codec.codec.config.uplinks):
            if ks in owners:
                raise ToolkitError(
                    f"{named('codecs')}: {folder} and another codec are both trained for k = {joined(ks)}"
                )
            owners[ks] = model
    axes = [tuple(sorted(set(axis))) for axis in zip(*owners, strict=True)]
    asked = asked_k(config, transmissions, axes, "the codecs are trained for")
    if missing := [ks for ks in itertools.product(*asked) if ks not in owners]:
        raise ToolkitError(f"{named('codecs')}: no codec is trained for k = {joined(missing[0])}")
    return {ks: owners[ks] for ks in itertools.product(*asked)}


def asked_k(
    config: MapConfig, transmissions: tuple[str, ...], trained: Sequence[tuple[int, ...]], why: str
) -> list[tuple[int, ...]]:
    """The axis of k of each transmission: what the config asks for, or all that is trained.

    Raises:
        ToolkitError: if it asks for others; `why` says what the trained ones are.
    """
    axes = []
    for name, ks in zip(transmissions, trained, strict=True):
        field = k_field(name)
        asked = getattr(config, field) or ks
        if unknown := [k for k in asked if k not in ks]:
            raise ToolkitError(f"{named(field)}: {unknown} given, {why} {list(ks)}")
        axes.append(asked)
    return axes


def k_field(transmission: str) -> str:
    """Which setting says the k of a transmission."""
    return f"k_{transmission}" if transmission else "k"


def require_same_local(accuracy_map: AccuracyMap, config: MapConfig, local: Checkpoint) -> None:
    """Check that a map divides by the accuracy of this local model, as far as its provenance tells."""
    stored = accuracy_map.provenance.get("local")
    known = (local.sha256, local.file_sha256)
    if isinstance(stored, dict) and stored.get("sha256", local.sha256) not in known:
        raise ToolkitError(
            f"{named('beside')}: {config.beside} divides by another local model than {named('local')} "
            f"{config.local}; give the one it was measured with"
        )


def joined(value: Any) -> str:
    """One value, or those of several transmissions."""
    return "-".join(map(shortest, value)) if isinstance(value, tuple) else shortest(value)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], *names: str) -> str:
    """In what two documents differ, with both values; of some fields, where they are named."""
    ours, theirs = (
        Identity.of({name: document.get(name) for name in names or document}) for document in (one, other)
    )
    pairs = ours.differences(theirs)
    return "; ".join(f"{name}: {mine!r} and {stored!r}" for name, (stored, mine) in pairs.items())
