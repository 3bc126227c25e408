"""Text codec: tokens cross the channel, and a Marian Transformer at the server translates what it believes.

Architecture: Vaswani et al. (2017) as transformers' MarianMTModel has it. The JSC codec sends a point a token
and gives the server a posterior over the vocabulary (`deepsc.link.token_code`); the Transformer reads the
expected embeddings. Encoder layers that run at the UE move the points by what they know of the context. The
same class without a JSC codec is the local model.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from transformers import MarianConfig, MarianMTModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.marian.modeling_marian import MarianEncoder
from typing_extensions import override

from deepsc.codec.base import Codec, TensorBatch, answer_loss
from deepsc.link.bigrams import bigrams_of
from deepsc.link.token_code import (
    Expectation,
    TokenDecoder,
    TokenEncoder,
    send_tokens,
    start_token_code,
)
from deepsc.link.transmission import Link
from deepsc.text.config import TextCodecConfig
from deepsc.text.decoding import greedy

_FOCUSED = 0.7
"""Share of the training sentences whose SNR is where there is something to learn."""


@dataclass(frozen=True, kw_only=True)
class TextBatch(TensorBatch):
    """Padded sentences. B items of S source and T target tokens."""

    source: Tensor
    """(B, S), token ids."""
    mask: Tensor
    """(B, S), 1 for valid source tokens."""
    target: Tensor
    """(B, T), token ids."""
    decoder_input: Tensor
    """(B, T), `target` shifted right behind the decoder's start token."""

    of_whole: Tensor | None = None
    """(2, M), bigrams of the whole batch, where this is one process's part of it."""

    @property
    def sizes(self) -> tuple[int]:
        """Items in each transmission: (B,)."""
        return (self.source.shape[0],)

    @property
    def bigrams(self) -> Tensor:
        """Bigrams of the source, (2, M), of all processes' parts."""
        return bigrams_of(self.source, self.mask) if self.of_whole is None else self.of_whole

    @override
    def part(self, rank: int, ranks: int) -> tuple[Self, tuple[Tensor, ...]]:
        part, rows = super().part(rank, ranks)
        return dataclasses.replace(part, of_whole=self.bigrams), rows


class Sentences(NamedTuple):
    """B sentences of S tokens at the UE, ready to be sent or, by the local model, translated."""

    tokens: Tensor
    """(B, S), ids."""
    mask: Tensor
    """(B, S), 1 for valid tokens."""
    features: Tensor | None
    """(B, S, d_model), of the encoder layers that run at the UE; None: of none."""


class TextCodec(Codec):
    """Semantic encoder, JSC codec and semantic decoder for sentences.

    Args:
        config: architecture; without k it is the local model, which has no JSC codec.
    """

    config: TextCodecConfig

    def __init__(self, config: TextCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = MarianMTModel(_marian_config(config))
        self.frozen = False
        """Whether the Transformer is the local model's and stays it."""
        self.jsc_encoder: TokenEncoder | None = None
        self.jsc_decoder: TokenDecoder | None = None
        self.jsc_expectation = Expectation()
        if config.k:
            self.jsc_encoder = TokenEncoder(
                vocab_size=config.vocab_size,
                k_max=config.k[-1],
                d_model=config.d_model if config.split else None,
            )
            self.jsc_decoder = TokenDecoder(
                vocab_size=config.vocab_size,
                k_max=config.k[-1],
                width=config.d_model,
                layers=config.context_layers,
                heads=config.heads,
                dropout=config.dropout,
                max_length=config.max_length,
                snr_range_db=config.snr_range_db,
                bigrams=config.bigrams,
                end=config.eos_id,
            )

    @override
    def start(self, batches: Iterable[TextBatch], *, from_local: bool) -> None:
        """Count the tokens and bigrams of the training data; the JSC codec starts from them."""
        if self.jsc_encoder is None or self.jsc_decoder is None:
            return
        bigrams = torch.cat([batch.bigrams for batch in batches], dim=1)
        start_token_code(self.jsc_encoder, self.jsc_decoder, bigrams)

    @override
    def freeze_local(self) -> None:
        """Keep the Transformer as it is: only the JSC codec is trained, to tell the tokens apart."""
        self.frozen = True
        self.transformer.requires_grad_(False)

    @override
    def focus_snr_db(self, snr_db: Tensor, k: Tensor, *, generator: torch.Generator) -> Tensor:
        """Some of the SNRs as they are, most where the channel can carry about what the tokens tell.

        There the capacity of a token's k symbols is uniform between half and twice the entropy of the tokens.
        Below that nothing gets through, above that everything does, and there is little to learn.
        """
        assert self.jsc_decoder is not None
        frequency = self.jsc_decoder.log_frequency.detach().cpu()
        entropy = -(frequency.exp() * frequency).sum()  # nats a token
        capacity = entropy * (0.5 + 1.5 * torch.rand(len(k), generator=generator))
        focused_db = 10 * torch.expm1(capacity / k).log10()
        moved = torch.rand(len(k), generator=generator) < _FOCUSED
        return torch.where(moved, focused_db.clamp(*self.config.snr_range_db), snr_db)

    def encode(self, source: Tensor, mask: Tensor) -> Sentences:
        """What runs at the UE before the JSC encoder: token ids (B, S) and mask (B, S) to sentences."""
        encoder = self.transformer.get_encoder()
        if self.jsc_encoder is None:
            layers = self.config.layers
        elif not (layers := self.config.split):
            return Sentences(source, mask, None)
        features = first_layers(encoder, layers)(input_ids=source, attention_mask=mask).last_hidden_state
        return Sentences(source, mask, features)

    def posterior(self, sent: Sentences, link: Link | None, *, held_out: Tensor | None = None) -> Tensor:
        """Logits of the tokens at the server, (B, S, V); `held_out` as of `TokenDecoder`."""
        ends = self.jsc_encoder, self.jsc_decoder
        return send_tokens(*ends, sent.tokens, sent.mask, link, features=sent.features, held_out=held_out)

    def understand(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Semantic encoder at the server: logits (B, S, V) to features (B, S, d_model).

        It reads the expected embedding of each token. Where one token is certain, it is the local model's.
        """
        encoder = self.transformer.get_encoder()
        return encoder(inputs_embeds=self.expect(logits), attention_mask=mask).last_hidden_state

    def expect(self, logits: Tensor) -> Tensor:
        """Expected embedding of each token: logits (B, S, V) to (B, S, d_model)."""
        encoder = self.transformer.get_encoder()
        return self.jsc_expectation(logits, encoder.embed_tokens.weight) * encoder.embed_scale

    def transmit(self, sent: Sentences, link: Link | None) -> Tensor:
        """Features at the server, (B, S, d_model); the local model has them already, and reads no link."""
        if self.jsc_encoder is None:
            assert sent.features is not None
            return sent.features
        return self.understand(self.posterior(sent, link), sent.mask)

    def loss(
        self,
        batch: TextBatch,
        link: Link | None = None,
        *,
        label_smoothing: float = 0.0,
        consistency: float | None = None,
    ) -> Tensor:
        """Teacher-forced cross-entropy of the target tokens, in nats; per target token for the local model.

        For a codec it is per source token, and the source tokens' own is added, by their posterior at the
        server. With a frozen Transformer that is all.

        Args:
            batch: source and target; its source mask guards the cross-attention too, as in `generate`.
            link: how the sentences cross the channel, None for the local model.
            label_smoothing: share of the probability of a target token that is spread over the vocabulary.
            consistency: of the local model's passes, as in `answer_loss`.

        Returns:
            Scalar.
        """
        target_mask = batch.target != self.config.pad_id
        target = batch.target[target_mask]
        if self.jsc_encoder is None:
            return answer_loss(
                lambda: self._answers(
                    batch, target_mask, self.transmit(self.encode(batch.source, batch.mask), None)
                ),
                target, label_smoothing=label_smoothing, consistency=consistency,
            )  # fmt: skip
        sent = self.encode(batch.source, batch.mask)
        believed = self.posterior(sent, link, held_out=batch.bigrams if self.training else None)
        valid = batch.mask.bool()
        loss = nn.functional.cross_entropy(believed[valid], batch.source[valid], reduction="sum")
        if not self.frozen:
            answers = self._answers(batch, target_mask, self.understand(believed, batch.mask))
            loss = loss + nn.functional.cross_entropy(
                answers, target, label_smoothing=label_smoothing, reduction="sum"
            )
        return loss / self.loss_terms(batch)

    def _answers(self, batch: TextBatch, target_mask: Tensor, received: Tensor) -> Tensor:
        """Logits of the N target tokens that the mask keeps, (N, V)."""
        hidden = self.transformer.get_decoder()(
            input_ids=batch.decoder_input,
            encoder_hidden_states=received,
            encoder_attention_mask=batch.mask,
            use_cache=False,
        ).last_hidden_state  # (B, T, d_model)
        # The vocabulary layer is the costly one: spare it the padding.
        head, bias = self.transformer.lm_head, self.transformer.final_logits_bias[0]
        return nn.functional.linear(hidden[target_mask], head.weight, bias)

    def loss_terms(self, batch: TextBatch) -> int:
        """Source tokens of a codec, target tokens of the local model, padding left out."""
        tokens = batch.source if self.jsc_encoder is not None else batch.target
        return int((tokens != self.config.pad_id).sum())

    @torch.inference_mode()
    def generate(self, received: Tensor, mask: Tensor, *, beams: int = 1) -> Tensor:
        """Decode greedily (one beam) or by beam search, with a KV cache.

        Args:
            received: (B, S, d_model), as from `transmit`.
            mask: (B, S).
            beams: width of the search.

        Returns:
            Token ids (B, T'), decoder start included.
        """
        # Twice the source and a little more leaves room for German compounds cut to pieces.
        longest = min(2 * mask.shape[1] + 8, self.config.max_length - 1)
        if beams == 1:
            return greedy(self.transformer, received, mask, longest=longest)
        return self.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=received),
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            max_new_tokens=longest,
            suppress_tokens=[self.config.pad_id],  # never trained, and opus-mt's would win
        )


def first_layers(encoder: MarianEncoder, layers: int) -> MarianEncoder:
    """An encoder of the first layers of another, which has the same weights."""
    part = copy.copy(encoder)
    part._modules = {**encoder._modules, "layers": encoder.layers[:layers]}
    return part


def pad(rows: Sequence[Sequence[int]], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids padded to one length.

    Returns:
        Ids (B, S), and their mask (B, S), 1 for valid tokens.
    """
    ids = nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=pad_id
    )
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()


def collate(source: Sequence[Sequence[int]], target: Sequence[Sequence[int]], *, pad_id: int) -> TextBatch:
    """Pad token ids, ends of sentence included, to one batch. Marian's decoder starts on the pad token."""
    source_ids, mask = pad(source, pad_id=pad_id)
    target_ids, _ = pad(target, pad_id=pad_id)
    start = torch.full((len(target), 1), pad_id)
    decoder_input = torch.cat((start, target_ids[:, :-1]), dim=1)
    return TextBatch(source=source_ids, mask=mask, target=target_ids, decoder_input=decoder_input)


def _marian_config(config: TextCodecConfig) -> MarianConfig:
    """transformers' config of the Transformer, both halves alike."""
    return MarianConfig(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        encoder_layers=config.layers,
        decoder_layers=config.layers,
        encoder_attention_heads=config.heads,
        decoder_attention_heads=config.heads,
        encoder_ffn_dim=config.d_ff,
        decoder_ffn_dim=config.d_ff,
        dropout=config.dropout,
        attention_dropout=0.0,  # its masks cost time on a CPU (benchmarks/text_steps.py)
        activation_dropout=0.0,
        activation_function="swish",
        max_position_embeddings=config.max_length,
        scale_embedding=True,
        pad_token_id=config.pad_id,
        eos_token_id=config.eos_id,
        decoder_start_token_id=config.pad_id,
        forced_eos_token_id=None,
        tie_word_embeddings=True,
    )
