"""A trained codec to use: it sends a user's own items, and its local model answers beside it.

model = deepsc.load("text-multi30k-en-de-medium")
model.transmit(["Two dogs run through the snow."], k=12, snr_db=6).texts
model.local(["Two dogs run through the snow."])
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.files.errors import ToolkitError
from data.files.paths import exists, is_file
from data.settings import named
from deepsc.checkpoint import from_pretrained
from deepsc.codec.config import SNR_LIMIT_DB
from deepsc.link.channel import Channel, channel_names
from deepsc.link.transmission import Link, link_at
from deepsc.modality import Answer, Checkpoint, Links, Sender, Separate
from deepsc.zoo.find import CARD, CODEC, LOCAL, release_of, resolve

Each = int | float | tuple[Any, ...]
"""A k or an SNR: one for all transmissions, or one for each."""


@dataclass(frozen=True, kw_only=True)
class Transmission:
    """What became of items that were sent once."""

    answers: tuple[Answer, ...]
    """Of each item."""
    sent: tuple[NDArray[np.complex64], ...]
    """Of each item, the channel symbols, (uses,): unit mean energy in each transmission."""
    received: tuple[NDArray[np.complex64], ...]
    """The same behind the equaliser."""

    @property
    def texts(self) -> list[str]:
        """Sentence, class or answer that arrived, of each item."""
        return [answer.text for answer in self.answers]

    @property
    def uses(self) -> list[int]:
        """Channel symbols of each item."""
        return [len(symbols) for symbols in self.sent]


@dataclass(frozen=True, kw_only=True)
class Transceiver(Checkpoint):
    """A checkpoint that sends; `load` makes one.

    Items of a text codec are sentences, of an image codec images (a file, or bytes (H, W, 3)), of a VQA codec
    pairs of image and question.
    """

    local_model: Checkpoint | None = None
    """The same task without a channel."""
    card: str | None = None
    """Model card of a codec that ships, in Markdown."""
    release: Path | None = None
    """Folder of a codec that ships, with its maps."""

    @cached_property
    def sender(self) -> Sender:
        """Who sends with the codec."""
        return self.modality.sender(self)

    @cached_property
    def local_sender(self) -> Sender:
        """Who answers with the local model.

        Raises:
            ToolkitError: if there is none.
        """
        if self.local_model is None:
            raise ToolkitError(f"{named('local')}: none given, the codec came without its local model")
        return self.modality.sender(self.local_model)

    @cached_property
    def channel(self) -> Channel:
        """The one that the codec was trained for."""
        return self.training.channel or Channel()

    @property
    def ks(self) -> tuple[tuple[int, ...], ...]:
        """Trained k of each transmission.

        Raises:
            ToolkitError: if this is a local model.
        """
        if not (uplinks := self.codec.config.uplinks):
            raise ToolkitError(
                f"{named('codec')}: a local model given, a codec trained over a channel is allowed"
            )
        return uplinks

    def local(self, items: Sequence[Any]) -> list[str]:
        """What the local model makes of items, without a channel."""
        return [answer.text for answer in self.local_answers(items)]

    def local_answers(self, items: Sequence[Any]) -> list[Answer]:
        """`local`, with probabilities and embeddings where there are some."""
        _require_list(items)
        return [self.local_sender.send(item, lambda number, like: None) for item in items]

    def transmit(
        self,
        items: Sequence[Any],
        *,
        k: int | tuple[int, ...] | None = None,
        snr_db: float | tuple[float, ...] = 12.0,
        channel: Channel | str | None = None,
        seed: int = 0,
    ) -> Transmission:
        """Send each item once.

        Noise and fading follow from the seed and from the item's place alone, not from k or the SNR.

        Args:
            items: what to send.
            k: complex channel symbols per token, of the trained ones; one a transmission where there are
                several. None: the largest.
            snr_db: E_s/N_0 per complex symbol, likewise; of a fading channel its mean.
            channel: or the name of one; None: the one that the codec was trained for.
            seed: of fading and noise.

        Raises:
            ToolkitError: if k is not trained, or an SNR or channel is not to be had.
        """
        _require_list(items)
        chosen = self.require_k(k)
        snrs = self._each("snr_db", snr_db)
        if wrong := [snr for snr in snrs if not -SNR_LIMIT_DB <= snr <= SNR_LIMIT_DB]:
            limits = f"{-SNR_LIMIT_DB:g} to {SNR_LIMIT_DB:g}"
            raise ToolkitError(f"{named('snr_db')}: {wrong[0]} given, {limits} is allowed")
        over = self.channel_of(channel)
        answers, sent, received = [], [], []
        for number, item in enumerate(items):
            symbols: list[tuple[Tensor, Tensor]] = []
            links = _links(over, chosen, snrs, seed=seed, number=number, symbols=symbols)
            answers.append(self.sender.send(item, links))
            before, behind = zip(*symbols, strict=True)
            sent.append(torch.cat(before).cpu().numpy())
            received.append(torch.cat(behind).cpu().numpy())
        return Transmission(answers=tuple(answers), sent=tuple(sent), received=tuple(received))

    def separate(
        self, item: Any, *, channel: Channel | str | None = None, code: str = "capacity",
        data_dir: str | None = None,
    ) -> SeparateCoding:  # fmt: skip
        """An item by separate source and channel coding in as many channel uses; see `deepsc.digital`.

        Args:
            item: what to send.
            channel: as of `transmit`.
            code: channel code: capacity, finite or ldpc.
            data_dir: folder that holds the data that the source code is learned from.

        Raises:
            ToolkitError: if there is no local model, or data or packages are missing.
        """
        coded = self.local_sender.separate(
            item, channel=self.channel_of(channel), code=code, data_dir=data_dir
        )
        versions = (coded.nothing, *coded.versions)
        answers = [
            None if one is None else self.local_answers([one])[0] for one in versions
        ]  # of 0, nothing, on
        return SeparateCoding(coded=coded, answers=tuple(answers))

    def require_k(self, k: int | tuple[int, ...] | None) -> tuple[int, ...]:
        """k of each transmission.

        Raises:
            ToolkitError: if one is not trained.
        """
        chosen = tuple(ks[-1] for ks in self.ks) if k is None else self._each("k", k)
        for one, ks in zip(chosen, self.ks, strict=True):
            if one not in ks:
                raise ToolkitError(f"{named('k')}: {one} given, trained: {', '.join(map(str, ks))}")
        return chosen

    def _each(self, setting: str, value: Any) -> tuple[Any, ...]:
        values = value if isinstance(value, tuple) else (value,) * len(self.ks)
        if len(values) != len(self.ks):
            raise ToolkitError(
                f"{named(setting)}: {values} given, one a transmission is allowed: {len(self.ks)}"
            )
        return values

    def channel_of(self, channel: Channel | str | None) -> Channel:
        """A channel by its name, its fading, CSI and Rician factor as trained; None: the trained one."""
        if channel is None:
            return self.channel
        if isinstance(channel, Channel):
            return channel
        if channel not in channel_names():
            allowed = ", ".join(channel_names())
            raise ToolkitError(f"{named('channel')}: {channel!r} given, allowed: {allowed}")
        trained = self.channel
        return Channel(
            kind=channel, **{name: getattr(trained, name) for name in ("fading", "csi", "rician_factor")}
        )


def _require_list(items: Sequence[Any]) -> None:
    """Check that items are not one sentence, which is a sequence of letters.

    Raises:
        ToolkitError: if they are.
    """
    if isinstance(items, str):
        raise ToolkitError(f"{named('items')}: {items!r} given, a list of items is allowed")


def _links(
    channel: Channel, ks: Sequence[int], snrs_db: Sequence[float], *, seed: int, number: int,
    symbols: list[tuple[Tensor, Tensor]],
) -> Links:  # fmt: skip
    """Links of an item, which note the symbols that cross.

    Args:
        channel: the uplink.
        ks: k of each transmission.
        snrs_db: SNR of each.
        seed: of fading and noise.
        number: of the item.
        symbols: where the symbols go, as sent and as equalised, a pair a transmission.
    """

    def links(transmission: int, like: Tensor) -> Link | None:
        link = link_at(
            channel,
            k=ks[transmission],
            snr_db=snrs_db[transmission],
            like=like,
            seed=(len(ks) * seed + transmission, number),
        )
        return link and dataclasses.replace(link, tap=lambda sent, received: symbols.append((sent, received)))

    return links


@dataclass(frozen=True, kw_only=True)
class SeparateCoding:
    """An item by separate coding, ready to be sent at any k and SNR."""

    coded: Separate
    answers: tuple[Answer | None, ...]
    """What the local model makes of nothing, and of each version. None: nothing to answer to."""

    def transmit(self, *, k: int, snr_db: float, seed: int = 0) -> Answer | None:
        """Send the item once; None: nothing arrives."""
        counts, _ = self.coded.digital.measure(k=k, snr_db=snr_db, seed=seed)
        version = int(counts[0, 0])
        return self.answers[version] if version else None

    @property
    def size(self) -> str:
        """How many bits the item takes, in words."""
        least, most = min(self.coded.bits), max(self.coded.bits)
        return f"{most} bits" if least == most else f"{least} to {most} bits by quality"


def load(
    place: str | os.PathLike[str], *, local: str | os.PathLike[str] | None = None, device: str = "cpu"
) -> Transceiver:
    """Load a codec to use.

    Args:
        place: name of a codec that ships (`list_codecs`), or a folder: a checkpoint's, or one as they ship.
        local: folder of the local model, where the codec's own has none.
        device: where the models go.

    Raises:
        ToolkitError: if there is no such codec, or a file is missing, truncated or foreign.
    """
    folder = resolve(str(place), CODEC, setting="codec")
    release = release_of(str(place))
    beside = str(release / LOCAL) if release is not None and exists(release / LOCAL) else None
    if local is not None:
        beside = resolve(str(local), LOCAL, setting="local")
    checkpoint = from_pretrained(folder, device=device)
    local_model = None if beside is None else from_pretrained(beside, device=device)
    if local_model is not None:
        _require_pair(checkpoint, local_model)
    fields = {field.name: getattr(checkpoint, field.name) for field in dataclasses.fields(checkpoint)}
    card = None
    if release is not None and is_file(release / CARD):
        card = (release / CARD).read_text(encoding="utf-8")
    return Transceiver(**fields, local_model=local_model, card=card, release=release)


def _require_pair(codec: Checkpoint, local: Checkpoint) -> None:
    """Check that a local model answers what a codec does."""
    for name in ("modality", "task"):
        ours, theirs = codec.document[name], local.document[name]
        if ours != theirs:
            raise ToolkitError(f"{named('local')}: of {name} {theirs!r}, the codec is of {ours!r}")
    if local.codec.config.uplinks:
        raise ToolkitError(
            f"{named('local')}: a codec given, a local model, trained without a channel, is allowed"
        )
