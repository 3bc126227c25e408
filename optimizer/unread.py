"""Flags of `optimize` that would change nothing beside the others. They are refused, not passed over."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from optimizer.world.config import MODALITIES, EpisodeConfig, Inputs

UNREAD: Mapping[str | None, Mapping[str, str]] = {
    "pareto": dict.fromkeys(("preference", "beta"), "the policy is trained on all beta; see --betas"),
    "figures": {"preference": "Figs. 2-4 have their own, Figs. 5-7 are dynamic"},
}
"""Flags that a subcommand's help leaves out and that it refuses, and why."""


def unread_flags(name: str | None, options: argparse.Namespace) -> dict[str, str]:
    """Flags that would change nothing beside the others, and why."""
    if name == "report":
        return {}
    unread = {f"--{flag}": why for flag, why in UNREAD.get(name, {}).items()}
    preference = getattr(options, "preference", EpisodeConfig().preference)
    if name == "figures":
        if not {2, 3} & set(options.figures):
            unread["--beta"] = "only Figs. 2 and 3 have fixed preference"
    elif name != "pareto" and preference != "fixed":
        unread["--beta"] = f"--preference {preference} does not read it"
    if not getattr(options, "learners", True):
        unread["--episodes"] = "--learners '' trains nothing"
    return unread | _unread_files(options) | _unread_varied(name, options)


def _unread_files(options: argparse.Namespace) -> dict[str, str]:
    """Flags of modalities that no UE has."""
    files = {key: value for key, value in vars(options).items() if key in Inputs.__dataclass_fields__}
    mix = getattr(options, "mix", None) or default_mix(Inputs(**files)) or EpisodeConfig().mix
    unread: dict[str, str] = {}
    for modality in set(MODALITIES) - set(mix):
        flags = [f"--{modality}-map", f"--{modality}-flops", *(["--flops"] if modality == "text" else [])]
        ues = ",".join(dict.fromkeys(mix))
        unread |= dict.fromkeys(flags, f"no UE of --ues {ues} sends with the {modality} codec")
    for flags, modality in ((["--k-text", "--k"], "text"), (["--k-image"], "image")):
        if not {modality, "vqa"} & set(mix):
            unread |= dict.fromkeys(flags, f"only {modality} and vqa UEs (--ues) send with it")
    return unread


def _unread_varied(name: str | None, options: argparse.Namespace) -> dict[str, str]:
    """Flags of what is tried at several values, whatever they say."""
    unread: dict[str, str] = {}
    if name == "figures":
        wanted = set(options.figures)
        for figure, flags in ((5, ("--k-text", "--k")), (6, ("--k-image",)), (7, ("--noise-dbm-hz",))):
            if wanted == {figure}:
                unread |= dict.fromkeys(flags, f"Fig. {figure} has its own")
        if not wanted & {2, 3, 4}:
            unread["--seeds"] = "Figs. 5-7 have --sweep-seeds"
        if not wanted & {5, 6, 7}:
            unread["--sweep-seeds"] = "only Figs. 5-7 read it"
    if name == "plan":
        for varied, flags in (("k-text", ("--k-text", "--k")), ("k-image", ("--k-image",))):
            if options.vary == (varied,):
                unread |= dict.fromkeys(flags, f"--vary {varied} has its own")
    return unread


def default_mix(inputs: Inputs) -> tuple[str, ...] | None:
    """The UEs where --ues is not given: files of one modality alone mean its UEs alone; else None."""
    named = inputs.named()
    return named * 4 if len(named) == 1 else None
