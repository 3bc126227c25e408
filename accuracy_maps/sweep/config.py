"""What `build-accuracy-map` is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from accuracy_maps.grid import CHANNELS
from data.files.errors import ToolkitError
from data.intervals import INTERVAL_ITEMS_MIN
from data.settings import Flag, Problem, Range, Settings, named
from deepsc.codec.config import CHANNEL_CODES, SNR_LIMIT_DB, TrainedK
from deepsc.text.bleu_tokenizer import TOKENIZERS

SNR_DB = tuple(float(snr) for snr in range(-6, 19, 3))
MAX_SEED = 5 * 10**8  # a batch's noise has a seed up to 2e10 times as large, and torch takes 64 bits
MAX_DRAWS = 10_000  # seeds of a batch's draws are 10,007 apart from those of the next --seed
MAX_CELLS = 10**6
"""Of a map: twice as many is the largest file that is read."""

SNRAxis = Annotated[
    tuple[float, ...] | None, Range(-SNR_LIMIT_DB, SNR_LIMIT_DB, rising=True), Flag(metavar="START:STOP:STEP")
]


@dataclass(frozen=True, kw_only=True)
class MapConfig(Settings):
    """What `build-accuracy-map` does."""

    codecs: Annotated[tuple[str, ...], Flag("--codec", metavar="DIR", nargs="+")] = ()
    """Checkpoints from train-deepsc, or the name of a codec that ships; they must be trained for every k."""
    local: Annotated[str, Flag(metavar="DIR")]
    """Checkpoint trained with --channel none, the map's denominator, or the name of a codec that ships."""
    task: str | None = None
    """What to measure, where the same models serve several tasks; image: classify or retrieve, which ranks a
    gallery by the received embedding (default: what they were trained for; of a --baseline: --beside's)."""
    output: Annotated[str, Flag(metavar="FILE")] = "runs/map.json"
    """The map; .csv and .png are written beside it."""
    overwrite: bool = False
    """Replace an output that other settings made, or cells that an unfinished sweep of others kept."""
    k: TrainedK | None = None
    """Symbols per token (default: all trained)."""
    k_text: TrainedK | None = None
    """Of vqa, symbols per token of the question (default: all trained)."""
    k_image: TrainedK | None = None
    """Of vqa, symbols per token of the image (default: all trained)."""
    snr_db: SNRAxis = None
    """Grid in dB, or a list (default: -6:18:3; of a --baseline: --beside's)."""
    channel: Annotated[str | None, Range(choices=CHANNELS)] = None
    """Default: the codec's own; of a --baseline: --beside's."""
    baseline: Literal["digital"] | None = None
    """No codec: separate source and channel coding, see `deepsc.digital`."""
    code: Annotated[str, Range(choices=CHANNEL_CODES)] = "capacity"
    """A baseline's code: ideal; the best of its length, by the normal approximation; 5G NR's LDPC with QAM
    (pip install 'deepsc-toolkit[digital]')."""
    beside: Annotated[str | None, Flag(metavar="MAP", nargs="+")] = None
    """Maps to plot beside it; --baseline takes the axes, channel and task of the first."""
    also_beside: tuple[str, ...] = ()
    """Further maps to plot beside it."""
    mat: bool = False
    """Write sem_table for MATLAB too, text and image."""
    draws: Annotated[int, Range(1, MAX_DRAWS)] = 1
    """Noise draws per test item and cell."""
    beams: Annotated[int, Range(1, 64)] = 1
    """Text: beam search width; 1 is greedy."""
    bleu_tokenize: Annotated[str | None, Range(choices=TOKENIZERS)] = None
    """Text: sacreBLEU's tokenizer (default: by the target language: zh, ja-mecab, ko-mecab, char or 13a; of a
    --baseline: --beside's)."""
    limit: Annotated[int | None, Range(INTERVAL_ITEMS_MIN), Flag(metavar="N")] = None
    """Measure on the first N test sentences or images; an interval over fewer would feign certainty."""
    data_dir: Annotated[str | None, Flag(metavar="DIR")] = None
    """Folder that holds the data ($DEEPSC_DATA)."""
    skip_bad: bool = False
    """Leave out images of the models' --folder that cannot be read, instead of listing them and ending."""
    seed: Annotated[int, Range(0, MAX_SEED)] = 0
    """Of fading, noise and bootstrap."""
    device: str | None = None
    """Such as cpu, cuda or cuda:1 (default: cuda where there is one)."""

    def problems(self) -> Iterator[Problem]:
        """Rules across fields, and names that name nothing."""
        if not self.output.endswith(".json") or Path(self.output).name == ".json":
            yield Problem("output", f"{self.output!r} given, a name that ends in .json is allowed")
        for name in ("beside", "task", "data_dir", "local", "k", "k_text", "k_image", "snr_db"):
            if (value := getattr(self, name)) in ("", ()):
                yield Problem(name, f"{value!r} given, leave it out or say what it is")
        shown = (self.beside, *self.also_beside)
        if Path(self.output).resolve() in [Path(path).resolve() for path in shown if path is not None]:
            yield Problem("output", f"{self.output} is a map of {named('beside')}, which it would replace")
        if not self.codecs and self.baseline is None:
            yield Problem("codecs", "none given, at least one checkpoint is needed")
        if self.codecs and self.baseline is not None:
            yield Problem("codecs", f"given with {named('baseline')}, one of both is allowed")
        if self.code != "capacity" and self.baseline is None:
            yield Problem("code", f"{self.code!r} given, {named('baseline')} alone has one")

    @property
    def options(self) -> dict[str, Any]:
        """What modalities read of a sweep; see `deepsc.modality.Modality.sweep_options`."""
        return {"beams": self.beams, "bleu_tokenize": self.bleu_tokenize, "skip_bad": self.skip_bad}

    @property
    def snr_points(self) -> tuple[float, ...]:
        """SNRs of a codec's map."""
        return SNR_DB if self.snr_db is None else self.snr_db


def require_size(config: MapConfig, ks: Collection[tuple[int, ...]]) -> None:
    """Check how large a map is to be.

    Args:
        config: of the map.
        ks: k, one of each transmission; each transmission has an axis of SNRs, too.

    Raises:
        ToolkitError: if there are more cells than anybody could measure, or no .mat can hold it.
    """
    largest = max(ks)
    if config.mat and len(largest) > 1:
        raise ToolkitError(f"{named('mat')}: given, a map of several transmissions has none")
    snrs = len(config.snr_points)
    if (cells := len(ks) * snrs ** len(largest)) > MAX_CELLS:
        raise ToolkitError(
            f"{named('snr_db')}: {snrs} SNRs given, which make {cells:,} cells; at most {MAX_CELLS:,} are "
            "allowed"
        )
