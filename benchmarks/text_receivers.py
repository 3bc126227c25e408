"""What each part of the token code is worth: receivers of text codecs, ratio to local at each k and SNR.

    python benchmarks/text_receivers.py --codec runs/codec-{0,1,2} --local runs/local --output FILE

- frequencies: random points, as training starts from them; a token by its own symbols and its frequency.
- bigrams: the same points; a token by the bigrams as well. Nothing of it is trained.
- points: the trained points, a token by its own symbols and its frequency.
- points-bigrams: the trained points with the bigrams.
- codec: the trained points, the bigrams and the trained context.

The same sentences, noise and local model in each; AWGN. The codecs are trained with --split 0, alike but for
their --seed, and have random points of their own. What is printed is their mean.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from accuracy_maps.show.compare import LEVEL, snr_at
from data.files.documents import write_json
from data.files.errors import ToolkitError
from data.files.provenance import provenance
from data.terminal.command import Parser, run_command
from data.terminal.progress import Progress
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.link.channel import Channel
from deepsc.link.token_code import TokenDecoder
from deepsc.link.transmission import Received
from deepsc.text.evaluate import TextEvaluator
from deepsc.text.material import corpus_of
from deepsc.text.model import TextCodec

RECEIVERS = ("frequencies", "bigrams", "points", "points-bigrams", "codec")


def parser() -> Parser:
    flags = Parser(prog="text_receivers.py", description=__doc__)
    flags.add_argument("--codec", metavar="DIR", nargs="+", required=True)
    flags.add_argument("--local", metavar="DIR", required=True)
    flags.add_argument("--data-dir", metavar="DIR")
    flags.add_argument("--receivers", nargs="+", choices=RECEIVERS, default=list(RECEIVERS))
    flags.add_argument("--snr-db", type=float, nargs="+", default=[-6, -3, 0, 3, 6, 9, 18])
    flags.add_argument("--limit", type=int, help="first test sentences only")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--output", metavar="FILE", help="the numbers, as JSON")
    return flags


class ByFrequency(TokenDecoder):
    """Believes tokens by their own symbols and their frequency."""

    def forward(self, received: Received, points: Tensor, *, held_out: Tensor | None = None) -> Tensor:
        """Logits, (B, S, V)."""
        return self.log_frequency + self.log_likelihood(received, points)


class ByBigrams(TokenDecoder):
    """Believes tokens by the bigrams as well."""

    def forward(self, received: Received, points: Tensor, *, held_out: Tensor | None = None) -> Tensor:
        """Logits, (B, S, V)."""
        return self.belief(received, points)


def _received_by(codec: TextCodec, receiver: type[TokenDecoder]) -> TextCodec:
    """A copy of a codec with another receiver."""
    other = copy.deepcopy(codec)
    decoder: Any = other.jsc_decoder
    decoder.__class__ = receiver
    return other


def receivers(checkpoint: Checkpoint, local: Checkpoint, *, seed: int) -> dict[str, TextCodec]:
    """A codec for each name of `RECEIVERS`, with the local model's Transformer; random points are by seed."""
    codec = checkpoint.codec
    assert isinstance(codec, TextCodec)
    if codec.config.split:
        raise ToolkitError("--codec: its UE moves the points, of --split 0 is allowed")
    trained = copy.deepcopy(codec)
    trained.transformer.load_state_dict(local.codec.transformer.state_dict())
    points, both = _received_by(trained, ByFrequency), _received_by(trained, ByBigrams)
    start, bigrams = copy.deepcopy(points), copy.deepcopy(both)
    for untrained in (start, bigrams):
        encoder, decoder = untrained.jsc_encoder, untrained.jsc_decoder
        assert encoder is not None
        assert decoder is not None
        torch.nn.init.normal_(encoder.points, generator=torch.Generator().manual_seed(seed))
        encoder.start(decoder.log_frequency.exp())
    return dict(zip(RECEIVERS, (start, bigrams, points, both, trained), strict=True))


def report(options: Any) -> None:
    local = from_pretrained(options.local)
    corpus = corpus_of(local.document, options.data_dir)
    pairs = corpus.test[: options.limit]
    assert isinstance(local.codec, TextCodec)
    of = {"tokenizer": local.tokenizer, "pairs": pairs}
    counts, _ = TextEvaluator(local.codec, channel=None, **of).measure(k=0, snr_db=0.0, seed=options.seed)
    best = TextEvaluator.score(counts.sum(0))
    print(f"local: {best:.2f} sacreBLEU, {len(pairs)} sentences of {corpus.name}", flush=True)
    snr_db = sorted(options.snr_db)
    ratios: dict[str, dict[str, list[list[float]]]] = {}
    for number, folder in enumerate(options.codec):
        checkpoint = from_pretrained(folder)
        codecs, ks = receivers(checkpoint, local, seed=number), checkpoint.codec.config.uplinks[0]
        with Progress(folder, total=len(options.receivers) * len(ks), done=0, unit="row") as progress:
            for name in options.receivers:
                evaluator = TextEvaluator(codecs[name], channel=Channel(), **of)
                for k in ks:
                    row = evaluator.measure_together([(k, snr) for snr in snr_db], seed=options.seed)
                    found = [TextEvaluator.score(counts.sum(0)) / best for counts, _ in row]
                    ratios.setdefault(name, {}).setdefault(str(k), []).append(found)
                    progress.update()
    print("receiver          k" + "".join(f"{snr:>8g}" for snr in snr_db) + f"   dB at {LEVEL:g}")
    for name, of_k in ratios.items():
        for k, rows in of_k.items():
            means = "".join(f"{sum(column) / len(rows):>8.3f}" for column in zip(*rows, strict=True))
            print(f"{name:<16}{k:>3}{means}   {_reached(snr_db, rows)}")
    if options.output:
        document = {"snr_db": snr_db, "local": best, "sentences": len(pairs), "ratio": ratios}
        origin = provenance(config=vars(options), seed=options.seed, data_sha256=corpus.sha256)
        write_json(options.output, {**document, "provenance": origin})


def _reached(snr_db: list[float], rows: list[list[float]]) -> str:
    """Where the codecs' ratios reach `LEVEL`: mean SNR, and the range of several."""
    found = [there for row in rows if (there := snr_at(snr_db, row)) is not None]
    if len(found) < len(rows):
        return f"never, {len(rows) - len(found)} of {len(rows)}"
    mean = f"{sum(found) / len(found):.1f}"
    return mean if len(found) == 1 else f"{mean} ({min(found):.1f} to {max(found):.1f})"


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    return run_command("text_receivers.py", lambda: report(options))


if __name__ == "__main__":
    raise SystemExit(main())
