"""Physical channels on complex baseband symbols: AWGN, Rayleigh and Rician fading, or your own.

y = h x + n with unit mean energy of x per symbol, E|h|^2 = 1 and n ~ CN(0, 1/snr), that is variance 1/(2 snr)
per real dimension. snr is E_s/N_0 per complex symbol.

    Rayleigh(fading="symbol"); Channel(kind="rayleigh", fading="symbol")  # the same, by class and by name

A subclass of `Channel` that says its `kind` is known by that name. Configs hold channels, so torch is loaded
when symbols are sent, and not before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from typing_extensions import override

from data.files.errors import ToolkitError
from data.settings import Flag, Problem, Range, Settings, SettingsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FADINGS = ("block", "symbol")
CSI = ("perfect", "none")

_channels: dict[str, type[Channel]] = {}


def channel_names() -> tuple[str, ...]:
    """Kinds of all channels: ours first, then those that were defined since."""
    return tuple(_channels)


def db_to_linear(value_db: Tensor) -> Tensor:
    """10^(value/10)."""
    import torch

    return torch.pow(10.0, value_db / 10)


def complex_normal(shape: tuple[int, ...], *, generator: torch.Generator, device: torch.device) -> Tensor:
    """CN(0, 1): real and imaginary parts N(0, 1/2) each; complex64 of `shape`."""
    import torch

    # Drawn where the generator lives, so that a seed gives the same noise on every device.
    parts = torch.randn((*shape, 2), generator=generator, device=generator.device)
    return torch.view_as_complex(parts * math.sqrt(0.5)).to(device)


@dataclass(frozen=True, kw_only=True)
class Channel(Settings):
    """One uplink, batched over items, differentiable in x.

    `Channel(kind="rayleigh")` makes the channel of that name; `Channel()` is AWGN. A subclass says its `kind`
    and overrides the one of four steps that differs: `draw_gain` or its `fade`, `known_snr_db`, `receive`,
    `equalise`.

    Raises:
        SettingsError: from the constructor, listing every error at once.
    """

    kind: Annotated[str, Flag("--channel")] = "awgn"
    """Channel between user equipment and server: awgn, rayleigh or rician; none: the local model."""
    fading: Literal["block", "symbol"] = "block"
    """Block: one gain a sentence or image; symbol: a fresh one a symbol. Not of AWGN."""
    csi: Literal["perfect", "none"] = "perfect"
    """Perfect: MMSE equaliser; with block fading both ends know |h|^2. None: y as it is."""
    rician_factor: Annotated[float, Range(0), Flag(metavar="K")] = 4.0
    """Line-of-sight over scattered power, linear; a map on a Rician channel reads it, too."""

    def __new__(cls, *, kind: str = "awgn", **_: Any) -> Self:
        """The class that a kind names, where `Channel` itself is called."""
        if cls is not Channel:
            return super().__new__(cls)
        if kind not in _channels:
            raise SettingsError([Problem("kind", f"{kind!r} given, allowed: {', '.join(_channels)}")])
        return object.__new__(_channels[kind])  # type: ignore[return-value]  # a subclass of `Channel`

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if kind := vars(cls).get("kind"):
            known = _channels.get(kind, cls)
            if kind == "none" or (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ToolkitError(f"{cls.__qualname__}: kind {kind!r} given, which is another channel's")
            _channels[kind] = cls

    @override
    def problems(self) -> Any:
        if self.kind != type(self).kind:
            yield Problem("kind", f"{self.kind!r} given, {type(self).__name__} is {type(self).kind!r}")

    @property
    def fades(self) -> bool:
        """Whether h is drawn."""
        return True

    def draw_gain(
        self, x_shape: tuple[int, int, int], *, generator: torch.Generator, device: torch.device
    ) -> Tensor:
        """Fading coefficients h with E|h|^2 = 1.

        Args:
            x_shape: (B, S, K), the shape of the symbols they will meet.
            generator: source of randomness; AWGN draws nothing.
            device: where the result goes.

        Returns:
            complex64, (B, 1, 1) for AWGN and block fading, else (B, S, K).
        """
        shape = x_shape if self.fading == "symbol" and self.fades else (x_shape[0], 1, 1)
        return self.fade(shape, generator=generator, device=device)

    def fade(
        self, shape: tuple[int, int, int], *, generator: torch.Generator, device: torch.device
    ) -> Tensor:
        """Independent h of a shape, complex64; 1 unless a subclass draws it."""
        import torch

        return torch.ones(shape, dtype=torch.complex64, device=device)

    def known_snr_db(self, gain: Tensor, snr_db: Tensor) -> Tensor:
        """SNR that both ends may act on: snr |h|^2 if h is known and one per item, else the nominal snr.

        Args:
            gain: h, as from `draw_gain`.
            snr_db: (B,), nominal E_s/N_0.

        Returns:
            (B,), dB.
        """
        if self.csi == "perfect" and gain.shape[1:] == (1, 1):
            return snr_db + 20 * gain.abs().reshape(-1).clamp_min(1e-6).log10()
        return snr_db

    def symbol_snr(self, gain: Tensor, snr_db: Tensor) -> Tensor:
        """SNR of each symbol as the receiver knows it, linear: snr |h|^2 with CSI, else the nominal snr.

        Args:
            gain: h, as from `draw_gain`.
            snr_db: (B,), nominal E_s/N_0.

        Returns:
            (B, 1, 1), or the shape of the gain where h is known a symbol.
        """
        snr = db_to_linear(snr_db).view(-1, 1, 1)
        return snr * gain.abs().square() if self.csi == "perfect" else snr

    def receive(self, x: Tensor, gain: Tensor, snr_db: Tensor, *, generator: torch.Generator) -> Tensor:
        """h x + n, not equalised.

        Args:
            x: (B, S, K), complex64 symbols of unit mean energy.
            gain: h, broadcast to x.
            snr_db: (B,), E_s/N_0 of each item.
            generator: source of the noise.

        Returns:
            y, (B, S, K), complex64.

        Raises:
            ToolkitError: if an SNR is not finite.
        """
        if not (finite := snr_db.isfinite()).all():
            raise ToolkitError(f"SNR: {snr_db[~finite][0].item()} dB given, finite numbers are allowed")
        noise_std = db_to_linear(-snr_db / 2).view(-1, 1, 1)  # sqrt(N_0); complex_normal has unit variance
        return gain * x + noise_std * complex_normal(tuple(x.shape), generator=generator, device=x.device)

    def equalise(self, y: Tensor, gain: Tensor, snr_db: Tensor) -> Tensor:
        """Linear MMSE estimate of x, conj(h) y / (|h|^2 + 1/snr), or y itself without CSI; shape of y.

        AWGN is the case h = 1, so block fading at (snr, h) and AWGN at snr |h|^2 reach the receiver alike.
        """
        if self.csi == "none":
            return y
        return gain.conj() * y / (gain.abs().square() + db_to_linear(-snr_db).view(-1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class AWGN(Channel):
    """h = 1."""

    kind: str = "awgn"

    @property
    @override
    def fades(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Rayleigh(Channel):
    """h ~ CN(0, 1): |h|^2 is exponential with mean 1."""

    kind: str = "rayleigh"

    @override
    def fade(
        self, shape: tuple[int, int, int], *, generator: torch.Generator, device: torch.device
    ) -> Tensor:
        return complex_normal(shape, generator=generator, device=device)


@dataclass(frozen=True, kw_only=True)
class Rician(Channel):
    """Line of sight plus scatter, K = `rician_factor`: h = sqrt(K / (K + 1)) + sqrt(1 / (K + 1)) CN(0, 1)."""

    kind: str = "rician"

    @override
    def fade(
        self, shape: tuple[int, int, int], *, generator: torch.Generator, device: torch.device
    ) -> Tensor:
        factor, scatter = self.rician_factor, complex_normal(shape, generator=generator, device=device)
        return math.sqrt(factor / (factor + 1)) + math.sqrt(1 / (factor + 1)) * scatter


def channel_from_fields(fields: Mapping[str, Any]) -> tuple[Channel | None, dict[str, Any]]:
    """A channel of flat fields, as config.json has them: "channel" is its kind, "none" is None.

    Returns:
        The channel, and the fields that are not its own.

    Raises:
        KeyError, TypeError, ValueError: if a field is missing or of another type.
        ToolkitError: if there is no such channel, or it refuses a field.
    """
    from data.files.schema import from_json, typed

    kind = typed(fields, "channel", str)
    cls = _channels.get(kind, Channel)
    names = set(cls.__dataclass_fields__) - {"kind"}
    others = {name: value for name, value in fields.items() if name not in names | {"channel"}}
    values = {name: fields[name] for name in names if name in fields}
    channel = from_json(cls, values | ({} if kind == "none" else {"kind": kind}))
    return (None if kind == "none" else channel), others


def channel_fields(channel: Channel | None) -> dict[str, Any]:
    """Inverse of `channel_from_fields`: {"channel": "awgn", "fading": "block", ...}."""
    import dataclasses

    fields = dataclasses.asdict(channel or Channel())
    kind = fields.pop("kind")
    return {"channel": "none" if channel is None else kind, **fields}


CHANNELS = channel_names()
"""Those of the package."""
