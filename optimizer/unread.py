"""Flags of `optimize` that would change nothing beside the others. They are refused, not passed over."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.world.config import MODALITIES, EpisodeConfig, sends

UNREAD: Mapping[str | None, Mapping[str, str]] = {
    "pareto": dict.fromkeys(("preference", "beta"), "the policy is trained on all beta; see --betas"),
    "figures": {"preference": "Figs. 2-4 have their own, Figs. 5-7 are dynamic"},
}
"""Flags that a subcommand's help leaves out and that it refuses, and why."""


def unread_flags(
    name: str | None,
    episode: EpisodeConfig,
    *,
    figures: tuple[int, ...] = (),
    vary: tuple[str, ...] | None = None,
    trains: bool = True,
) -> dict[str, str]:
    """Flags that would change nothing beside the others, and why.

    Args:
        name: of the subcommand.
        episode: its UEs.
        figures: that are drawn.
        vary: what is tried at several values.
        trains: whether any learner is trained.
    """
    unread = {f"--{flag}": why for flag, why in UNREAD.get(name, {}).items()}
    if name == "figures":
        unread |= _unread_figures(set(figures))
    elif name != "pareto" and episode.preference != "fixed":
        unread["--beta"] = f"--preference {episode.preference} does not read it"
    if not trains:
        unread["--episodes"] = "--learners '' trains nothing"
    for varied, flags in (("k-text", ("--k-text", "--k")), ("k-image", ("--k-image",))):
        if vary == (varied,):
            unread |= dict.fromkeys(flags, f"--vary {varied} has its own")
    return unread | _unread_files(episode.mix)


def _unread_files(mix: tuple[str, ...]) -> dict[str, str]:
    """Flags of modalities that no UE has."""
    unread: dict[str, str] = {}
    ues = ",".join(dict.fromkeys(mix))
    for modality in set(MODALITIES) - set(mix):
        flags = [f"--{modality}-map", f"--{modality}-flops", *(["--flops"] if modality == "text" else [])]
        unread |= dict.fromkeys(flags, f"no UE of --ues {ues} sends with the {modality} codec")
    for flags, modality in ((["--k-text", "--k"], "text"), (["--k-image"], "image")):
        if not sends(mix, modality):
            unread |= dict.fromkeys(flags, f"only {modality} and vqa UEs (--ues) send with it")
    return unread


def _unread_figures(wanted: set[int]) -> dict[str, str]:
    """Flags of what no figure that is wanted reads."""
    unread: dict[str, str] = {}
    if not {2, 3} & wanted:
        unread["--beta"] = "only Figs. 2 and 3 have fixed preference"
    for figure, flags in ((5, ("--k-text", "--k")), (6, ("--k-image",)), (7, ("--noise-dbm-hz",))):
        if wanted == {figure}:
            unread |= dict.fromkeys(flags, f"Fig. {figure} has its own")
    if not wanted & {2, 3, 4}:
        unread["--seeds"] = "Figs. 5-7 have --sweep-seeds"
    if not wanted & {5, 6, 7}:
        unread["--sweep-seeds"] = "only Figs. 5-7 read it"
    return unread
