"""What each part of the token code is worth: receivers of one text codec, ratio to local at each k and SNR.

    python benchmarks/text_receivers.py --codec runs/codec --local runs/local --data-dir DATA --output FILE

- frequencies: random points, as training starts from them; a token by its own symbols and its frequency.
- bigram: the same points; forward-backward over the sentence with the Kneser-Ney bigrams of the training
  split. The floor that a learned prior must beat, since it needs no training of the codec.
- points: the trained points, a token by its own symbols and its frequency.
- points-bigram: the trained points with the bigrams.
- codec: the trained points and the trained context.

The same sentences, noise and local model in each; AWGN. The codec must be trained with --split 0.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accuracy_maps.show.compare import LEVEL, snr_at
from data.files.documents import write_json
from data.files.errors import ToolkitError
from data.files.provenance import provenance
from data.terminal.command import Parser, run_command
from data.terminal.progress import Progress
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.digital.source import Bigram
from deepsc.link.channel import Channel
from deepsc.link.token_code import TokenDecoder
from deepsc.link.transmission import Received
from deepsc.text.config import CorpusConfig
from deepsc.text.evaluate import TextEvaluator
from deepsc.text.material import load_corpus
from deepsc.text.model import TextCodec

RECEIVERS = ("frequencies", "bigram", "points", "points-bigram", "codec")


def parser() -> Parser:
    flags = Parser(prog="text_receivers.py", description=__doc__)
    flags.add_argument("--codec", metavar="DIR", required=True)
    flags.add_argument("--local", metavar="DIR", required=True)
    flags.add_argument("--data-dir", metavar="DIR")
    flags.add_argument("--receivers", nargs="+", choices=RECEIVERS, default=list(RECEIVERS))
    flags.add_argument("--snr-db", type=float, nargs="+", default=[-6, -3, 0, 3, 6, 9, 18])
    flags.add_argument("--limit", type=int, help="first test sentences only")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--output", metavar="FILE", help="the numbers, as JSON")
    return flags


class Receiver(TokenDecoder):
    """Believes tokens by their own symbols, and by what `bigrams` add."""

    bigrams: Context | None = None

    def forward(self, received: Received, points: Tensor) -> Tensor:
        """Logits, (B, S, V)."""
        likelihood = self.log_likelihood(received, points)
        if self.bigrams is None:
            return self.log_prior + likelihood
        return self.bigrams.posterior(likelihood, received)


class Context:
    """Forward-backward over a sentence (Bahl et al., 1974) with bigrams.

    Args:
        sentences: of the training split, each with the token that ends it.
        size: V.
        end: the token that ends a sentence, and stands before its first.
    """

    def __init__(self, sentences: Sequence[Sequence[int]], *, size: int, end: int) -> None:
        bigram = Bigram(sentences, size=size, end=end)
        self._next = torch.tensor(np.stack([bigram.probabilities(token) for token in range(size)])).float()
        self._end = end

    def posterior(self, likelihood: Tensor, received: Received) -> Tensor:
        """Log posterior of each token, (B, S, V), from the log likelihoods (B, S, V)."""
        B, S, V = likelihood.shape
        weight = (likelihood - likelihood.amax(-1, keepdim=True)).exp()
        valid = received.mask.bool()
        forward, backward = torch.empty_like(weight), torch.ones_like(weight)
        before = self._next[self._end].expand(B, V)
        for place in range(S):
            forward[:, place] = _unit(before * weight[:, place])
            before = forward[:, place] @ self._next
        for place in range(S - 2, -1, -1):
            there = valid[:, place + 1].unsqueeze(1)
            ahead = _unit((weight[:, place + 1] * backward[:, place + 1]) @ self._next.T)
            backward[:, place] = torch.where(there, ahead, torch.ones_like(ahead))
        return (forward * backward).clamp_min(1e-30).log()


def _unit(x: Tensor) -> Tensor:
    return x / x.sum(-1, keepdim=True).clamp_min(1e-30)


def _received_by(codec: TextCodec, bigrams: Context | None) -> TextCodec:
    """A copy of a codec with another receiver."""
    other = copy.deepcopy(codec)
    receiver: Any = other.jsc_decoder
    receiver.__class__ = Receiver
    receiver.bigrams = bigrams
    return other


def receivers(checkpoint: Checkpoint, local: Checkpoint, sentences: Sequence[str]) -> dict[str, TextCodec]:
    """A codec for each name of `RECEIVERS`, all with the Transformer of the local model."""
    codec, tokenizer = checkpoint.codec, checkpoint.tokenizer
    assert isinstance(codec, TextCodec)
    assert tokenizer is not None
    if codec.config.split:
        raise ToolkitError("--codec: its UE moves the points, of --split 0 is allowed")
    trained = copy.deepcopy(codec)
    trained.transformer.load_state_dict(local.codec.transformer.state_dict())
    context = Context(tokenizer.encode(sentences), size=codec.config.vocab_size, end=codec.config.eos_id)
    points, both = _received_by(trained, None), _received_by(trained, context)
    start, bigram = copy.deepcopy(points), copy.deepcopy(both)
    for untrained in (start, bigram):
        encoder, decoder = untrained.jsc_encoder, untrained.jsc_decoder
        assert encoder is not None
        assert decoder is not None
        torch.nn.init.normal_(encoder.points, generator=torch.Generator().manual_seed(0))
        encoder.start(decoder.log_prior.exp())
    return dict(zip(RECEIVERS, (start, bigram, points, both, trained), strict=True))


def report(options: Any) -> None:
    logging.getLogger("deepsc").setLevel(logging.WARNING)
    checkpoint, local = from_pretrained(options.codec), from_pretrained(options.local)
    fields = dict(local.document["corpus"]) | {"data_dir": options.data_dir}
    corpus = load_corpus(CorpusConfig(**fields), task="translate")
    pairs = corpus.test[: options.limit]
    codecs = receivers(checkpoint, local, [source for source, _ in corpus.train])
    of = {"tokenizer": checkpoint.tokenizer, "pairs": pairs}
    assert isinstance(local.codec, TextCodec)
    counts, _ = TextEvaluator(local.codec, channel=None, **of).measure(k=0, snr_db=0.0, seed=options.seed)
    best = TextEvaluator.score(counts.sum(0))
    print(f"local: {best:.2f} sacreBLEU, {len(pairs)} sentences of {corpus.name}")
    snr_db = sorted(options.snr_db)
    ratios: dict[str, dict[str, list[float]]] = {}
    ks = checkpoint.codec.config.uplinks[0]
    with Progress("receivers", total=len(options.receivers) * len(ks), done=0, unit="row") as progress:
        for name in options.receivers:
            evaluator = TextEvaluator(codecs[name], channel=Channel(), **of)
            for k in ks:
                row = evaluator.measure_together([(k, snr) for snr in snr_db], seed=options.seed)
                ratios.setdefault(name, {})[str(k)] = [
                    TextEvaluator.score(counts.sum(0)) / best for counts, _ in row
                ]
                progress.update()
    print("receiver        k" + "".join(f"{snr:>8g}" for snr in snr_db) + f"   dB at {LEVEL:g}")
    for name, rows in ratios.items():
        for k, row in rows.items():
            there = snr_at(snr_db, row)
            reached = "never" if there is None else f"{there:.1f}"
            print(f"{name:<14}{k:>3}" + "".join(f"{ratio:>8.3f}" for ratio in row) + f"{reached:>12}")
    if options.output:
        document = {"snr_db": snr_db, "local": best, "sentences": len(pairs), "ratio": ratios}
        origin = provenance(config=vars(options), seed=options.seed, data_sha256=corpus.sha256)
        write_json(options.output, {**document, "provenance": origin})


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    return run_command("text_receivers.py", lambda: report(options))


if __name__ == "__main__":
    raise SystemExit(main())
