"""From the files of a run to `Tasks`: the user's, or those of the codecs that ship."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accuracy_maps import AccuracyMap, BimodalMap, load_map
from data.device import resolve_device
from data.files.atomic import atomic_path
from data.files.errors import ToolkitError
from data.files.paths import exists, is_file
from data.files.provenance import sha256_of
from data.settings import SettingsError, named
from deepsc.zoo.find import DEFAULTS, FLOPS, map_path, release_of
from optimizer.devices.find import PAPER, device_path
from optimizer.world.channel import read_gains
from optimizer.world.config import CSI, EpisodeConfig, Inputs, SystemConfig, device_problems
from optimizer.world.devices import with_devices
from optimizer.world.tasks import Tasks, Workload, make_tasks, workload
from profiling.device_file import DeviceFile
from profiling.flops_file import FlopsFile

KINDS = ("map", "flops")
"""Of the files of a modality."""

COPIES = "inputs"
"""Folder, in that of a run, of copies of the files it read."""
TWO_MODELS = "%s: map and FLOPs file are of two models, %s; run profile-flops on the codec of the map"
"""The warning where they differ."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a run's files hold."""

    system: SystemConfig
    """The one that was given, with the numbers of the server's device, and of the UEs' where all have the
    same."""
    tasks: Tasks
    """Where UEs have different devices, with these."""
    maps: dict[str, AccuracyMap | BimodalMap]
    """By modality."""
    flops: dict[str, FlopsFile]
    """By modality."""
    paths: dict[str, Path]
    """Of every file, by the name of its field in `Inputs`; of devices by that of `device_names`."""
    sha256: dict[str, str]
    """Of every file, by path."""

    @property
    def synthetic_maps(self) -> tuple[str, ...]:
        """Modalities whose map was measured on generated data."""
        return tuple(name for name, accuracy_map in self.maps.items() if accuracy_map.synthetic)

    @property
    def synthetic(self) -> bool:
        """Whether any map was."""
        return bool(self.synthetic_maps)


def load(inputs: Inputs, *, system: SystemConfig, episode: EpisodeConfig, device: str = "cpu") -> Loaded:
    """Read the files of every modality that has a UE, and of every device; the tasks' tensors go to `device`.

    Raises:
        ToolkitError: naming what is missing, damaged or does not fit.
    """
    if problems := list(device_problems(inputs, system, episode)):
        raise SettingsError(problems)
    maps: dict[str, AccuracyMap | BimodalMap] = {}
    flops: dict[str, FlopsFile] = {}
    paths: dict[str, Path] = {}
    workloads: dict[str, Workload] = {}
    for modality in dict.fromkeys(episode.mix):
        map_path, flops_path = (_path(inputs, modality, kind, CSI[episode.csi]) for kind in KINDS)
        maps[modality], flops[modality] = load_map(map_path), FlopsFile.load(flops_path)
        paths |= {f"{modality}_map": map_path, f"{modality}_flops": flops_path}
        workloads[modality] = _workload(inputs, modality, maps[modality], flops[modality], episode)
        if other := _differences(maps[modality].model, flops[modality].model):
            logger.warning(TWO_MODELS, modality, other)
        _warn_of(workloads[modality], system)
        _say_of_k(inputs, modality, maps[modality])
    _say_what_is_read(inputs, workloads)
    device_paths, devices = _devices(inputs)
    paths |= device_paths
    ues = [devices.get(("ue", device)) for device in inputs.ue_device]
    system, differing = with_devices(system, ues, devices.get(("server", inputs.server_device)))
    gains = None
    if inputs.gains is not None:
        paths["gains"] = inputs.gains
        gains = read_gains(inputs.gains, steps=episode.steps)
    tasks = make_tasks(workloads, episode.mix, differing, gains).to(resolve_device(device))
    if inputs.joint_k and tasks.codes == 1:
        raise ToolkitError(
            f"{named('joint_k')} given, with {named('k_text')} {inputs.k_text}, {named('k_image')} "
            f"{inputs.k_image}: the maps hold no smaller k to choose"
        )
    hashes = {str(path): sha256_of(path) for path in paths.values()}
    return Loaded(system=system, tasks=tasks, maps=maps, flops=flops, paths=paths, sha256=hashes)


def device_names(inputs: Inputs) -> dict[str, tuple[str, str]]:
    """Role and name of each device of a run that is read from a file, by what `Loaded.paths` calls it."""
    ues = [device for device in dict.fromkeys(inputs.ue_device) if device != PAPER]
    names = {f"ue_device_{i}": ("ue", device) for i, device in enumerate(ues)}
    return (
        names
        if inputs.server_device == PAPER
        else names | {"server_device": ("server", inputs.server_device)}
    )


def _devices(inputs: Inputs) -> tuple[dict[str, Path], dict[tuple[str, str], DeviceFile]]:
    """Files of the devices by name, and devices by role and what they are called."""
    paths, devices = {}, {}
    for name, (role, device) in device_names(inputs).items():
        paths[name] = device_path(device, role=role)
        devices[role, device] = file = DeviceFile.load(paths[name], role=role)
        logger.info(
            "%s %s: %s, %g FLOP a cycle (%s) at up to %g MHz", named(f"{role}_device"), device, file.name,
            file.number("flops_per_cycle"), file.capacity, file.number("clock_max_hz") / 1e6,
        )  # fmt: skip
    return paths, devices


def copied_inputs(inputs: Inputs, folder: Path, mix: Sequence[str]) -> Inputs:
    """The inputs of a run, from the copies in its folder where they are there."""
    names = [f"{modality}_{kind}" for modality in dict.fromkeys(mix) for kind in KINDS]
    changes: dict[str, Any] = {name: copy for name in names if exists(copy := copy_of(folder, name))}
    if inputs.gains is not None and exists(copy := copy_of(folder, "gains", inputs.gains.suffix)):
        changes["gains"] = copy
    copies = {
        device: str(copy)
        for name, device in device_names(inputs).items()
        if exists(copy := copy_of(folder, name))
    }
    ues = tuple(copies.get(("ue", device), device) for device in inputs.ue_device)
    server = copies.get(("server", inputs.server_device), inputs.server_device)
    return replace(inputs, **changes, ue_device=ues, server_device=server)


def keep_copies(loaded: Loaded, folder: Path) -> None:
    """Copy a run's files to its folder, where `optimize report` finds them wherever it is moved.

    Raises:
        ToolkitError: if they cannot be written, or have changed since they were read.
    """
    for name, path in loaded.paths.items():
        copy = copy_of(folder, name, path.suffix if name == "gains" else ".json")
        expected = loaded.sha256[str(path)]
        if exists(copy) and sha256_of(copy) == expected:
            continue
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
            if sha256_of(temporary) != expected:
                raise ToolkitError(f"{path}: has changed since it was read; start again")


def copy_of(folder: Path, name: str, suffix: str = ".json") -> Path:
    """Where a run's folder holds its copy of a file, by the name of its field in `Inputs`."""
    return folder / COPIES / f"{name.replace('_', '-')}{suffix}"


def tasks_at(loaded: Loaded, inputs: Inputs, episode: EpisodeConfig) -> Tasks:
    """The tasks at another k of the same files, of which `load` has said what there is to say.

    Raises:
        ToolkitError: if a k lies outside its map.
    """
    workloads = {
        modality: _workload(inputs, modality, accuracy_map, loaded.flops[modality], episode)
        for modality, accuracy_map in loaded.maps.items()
    }
    tasks = make_tasks(workloads, episode.mix, loaded.tasks.devices, loaded.tasks.gains)
    return tasks.to(loaded.tasks.device)


def _workload(
    inputs: Inputs,
    modality: str,
    accuracy_map: AccuracyMap | BimodalMap,
    flops: FlopsFile,
    episode: EpisodeConfig,
) -> Workload:
    choices = choices_of_k(inputs, modality, accuracy_map)
    return workload(accuracy_map, flops, modality=modality, episode=episode, k=choices)


def _differences(of_map: Mapping[str, Any], of_flops: Mapping[str, Any]) -> str:
    """In what two models differ, as "width 192 and 384, depth 6 and 12"; empty if in nothing."""
    names = [name for name in {**of_map, **of_flops} if of_map.get(name) != of_flops.get(name)]
    return ", ".join(f"{name} {of_map.get(name, 'none')} and {of_flops.get(name, 'none')}" for name in names)


def choices_of_k(
    inputs: Inputs, modality: str, accuracy_map: AccuracyMap | BimodalMap
) -> list[tuple[int, ...]]:
    """k, or pairs of k^T and k^I, that a UE may send with, the config's own first."""
    names = {"text": ("k_text",), "image": ("k_image",)}.get(modality, ("k_text", "k_image"))
    choices = []
    for name in names:
        most = getattr(inputs, name)
        axis = (_axis(accuracy_map, name) or ()) if inputs.joint_k else ()
        choices.append([most, *(k for k in reversed(axis) if k < most)])
    return list(itertools.product(*choices))


def k_in_every_map(maps: Mapping[str, AccuracyMap | BimodalMap], name: str) -> list[int]:
    """Values of `name`, "k_text" or "k_image", that every map which is read at it holds; empty if none is.

    Those of the map with the most values, without what lies outside another's.
    """
    axes = [axis for accuracy_map in maps.values() if (axis := _axis(accuracy_map, name))]
    if not axes:
        return []
    low, high = max(axis[0] for axis in axes), min(axis[-1] for axis in axes)
    return [k for k in max(axes, key=len) if low <= k <= high]


def _axis(accuracy_map: AccuracyMap | BimodalMap, name: str) -> tuple[int, ...] | None:
    """A map's values of "k_text" or "k_image", None if it is read at the other."""
    if isinstance(accuracy_map, BimodalMap):
        return accuracy_map.k_text if name == "k_text" else accuracy_map.k_image
    return accuracy_map.k if (accuracy_map.modality == "text") == (name == "k_text") else None


def _codec(inputs: Inputs, modality: str, kind: str) -> str | None:
    """The codec whose file is read: the one given, or given for the other of the two, or the default.

    None where a file is given.
    """
    named_files = {one: getattr(inputs, f"{modality}_{one}") for one in KINDS}
    place = named_files.pop(kind)
    if place is not None:
        return str(place) if _is_release(place) else None
    (other,) = named_files.values()
    return str(other) if other is not None and _is_release(other) else DEFAULTS[modality]


def _is_release(place: Path) -> bool:
    return not is_file(place) and release_of(str(place)) is not None


def _path(inputs: Inputs, modality: str, kind: str, channel: str) -> Path:
    name = f"{modality}_{kind}"
    codec = _codec(inputs, modality, kind)
    if codec is None:
        return Path(getattr(inputs, name))
    release = release_of(codec)
    if release is None:
        raise ToolkitError(f"{named(name)} is missing, and so is the codec that ships, {codec}")
    path = release / FLOPS if kind == "flops" else map_path(release, channel)
    if not is_file(path):
        what = "FLOPs file" if kind == "flops" else f"map over {channel}"
        raise ToolkitError(f"{named(name)}: {codec} has no {what}; give one")
    return path


def _say_what_is_read(inputs: Inputs, workloads: Mapping[str, Workload]) -> None:
    """Say which files are no user's, and what the maps cannot tell: beyond their SNRs an end is read."""
    codecs = dict.fromkeys(_codec(inputs, modality, kind) for modality in workloads for kind in KINDS)
    if releases := [codec for codec in codecs if codec is not None]:
        logger.info("maps and FLOPs files of %s are read", ", ".join(releases))
    spans = (f"{work.snr_db[0]:g} to {work.snr_db[-1]:g} dB ({name})" for name, work in workloads.items())
    logger.info(
        "the maps span %s; at other SNRs the nearest end is read (build-accuracy-map --snr-db measures more)",
        ", ".join(spans),
    )


def _say_of_k(inputs: Inputs, modality: str, accuracy_map: AccuracyMap | BimodalMap) -> None:
    """Say which k was not measured."""
    for name in ("k_text", "k_image"):
        k, axis = getattr(inputs, name), _axis(accuracy_map, name)
        if axis is not None and k not in axis:
            logger.info(
                "%s: the %s map has no k = %d, and f is interpolated: it was measured at %s",
                named(name), modality, k, ", ".join(map(str, axis)),
            )  # fmt: skip


def _warn_of(work: Workload, system: SystemConfig) -> None:
    """Warn of a map whose ends decide everything."""
    low = work.snr_db[0]
    worst, best = float(work.ratio.min()), float(work.ratio.max())
    if worst >= system.accuracy_min:
        logger.warning(
            "%s: the ratio at %g dB, the map's lowest SNR, is %.3f and meets epsilon_min %g, so that noise "
            "fails no task: measure lower SNRs with build-accuracy-map --snr-db",
            work.modality, low, worst, system.accuracy_min,
        )  # fmt: skip
    if best < system.accuracy_min:
        logger.warning(
            "%s: the map's best ratio %.3f is below epsilon_min %g: offloading can never succeed, choose a "
            "larger k or a better codec",
            work.modality, best, system.accuracy_min,
        )  # fmt: skip
