"""Text codec: a Marian Transformer whose encoder runs at the UE and whose decoder runs at the server.

Architecture: Vaswani et al. (2017) as transformers' MarianMTModel has it; JSC codec between the halves after
Xie et al. (DeepSC). The same class without a JSC codec is the local model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MarianConfig, MarianMTModel
from transformers.modeling_outputs import BaseModelOutput

from deepsc.codec.base import Codec, TensorBatch
from deepsc.link.jsc import JSCDecoder, JSCEncoder
from deepsc.link.transmission import Link, transmit
from deepsc.text.config import TextCodecConfig
from deepsc.text.decoding import greedy


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

    @property
    def sizes(self) -> tuple[int]:
        """Items in each transmission: (B,)."""
        return (self.source.shape[0],)


class TextCodec(Codec):
    """Semantic encoder, JSC codec and semantic decoder for sentences.

    Args:
        config: architecture; without k it is the local model, which has no JSC codec.
    """

    config: TextCodecConfig

    def __init__(self, config: TextCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = MarianMTModel(
            marian_config(
                vocab_size=config.vocab_size,
                d_model=config.d_model,
                layers=config.layers,
                heads=config.heads,
                d_ff=config.d_ff,
                dropout=config.dropout,
                max_length=config.max_length,
                pad_id=config.pad_id,
                eos_id=config.eos_id,
            )
        )
        self.jsc_encoder: JSCEncoder | None = None
        self.jsc_decoder: JSCDecoder | None = None
        if config.k:
            size: dict[str, Any] = {
                "d_model": config.d_model, "k_max": config.k[-1], "snr_range_db": config.snr_range_db,
            }  # fmt: skip
            self.jsc_encoder = JSCEncoder(**size)
            self.jsc_decoder = JSCDecoder(**size)

    def encode(self, source: Tensor, mask: Tensor) -> Tensor:
        """Semantic encoder: token ids (B, S) and mask (B, S) to features (B, S, d_model)."""
        return self.transformer.get_encoder()(input_ids=source, attention_mask=mask).last_hidden_state

    def transmit(self, features: Tensor, mask: Tensor, link: Link | None) -> Tensor:
        """Features at the server, (B, S, d_model); see `deepsc.link.transmission.transmit`."""
        return transmit(self.jsc_encoder, self.jsc_decoder, features, mask, link)

    def loss(self, batch: TextBatch, link: Link | None = None, *, label_smoothing: float = 0.0) -> Tensor:
        """Teacher-forced cross-entropy per target token, in nats.

        Args:
            batch: source and target; its source mask guards the cross-attention too, as in `generate`.
            link: how the features cross the channel, None for the local model.
            label_smoothing: share of the probability spread over the vocabulary.

        Returns:
            Scalar.
        """
        received = self.transmit(self.encode(batch.source, batch.mask), batch.mask, link)
        hidden = self.transformer.get_decoder()(
            input_ids=batch.decoder_input,
            encoder_hidden_states=received,
            encoder_attention_mask=batch.mask,
            use_cache=False,
        ).last_hidden_state  # (B, T, d_model)
        valid = batch.target != self.config.pad_id
        # The vocabulary layer is the costly one: spare it the padding.
        head, bias = self.transformer.lm_head, self.transformer.final_logits_bias[0]
        logits = nn.functional.linear(hidden[valid], head.weight, bias)  # (valid tokens, vocab_size)
        return nn.functional.cross_entropy(logits, batch.target[valid], label_smoothing=label_smoothing)

    def loss_terms(self, batch: TextBatch) -> int:
        """Target tokens, padding left out."""
        return int((batch.target != self.config.pad_id).sum())

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


def marian_config(
    *,
    vocab_size: int,
    d_model: int,
    layers: int,
    heads: int,
    d_ff: int,
    dropout: float,
    max_length: int,
    pad_id: int,
    eos_id: int,
    init_std: float = 0.02,
) -> MarianConfig:
    """transformers' config of a Marian Transformer, both halves alike.

    Arguments are as in `TextCodecConfig`; `init_std` is of the first weights, transformers' own unless said.
    """
    return MarianConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=d_ff,
        decoder_ffn_dim=d_ff,
        dropout=dropout,
        attention_dropout=dropout,
        activation_dropout=0.0,
        activation_function="swish",
        max_position_embeddings=max_length,
        scale_embedding=True,
        init_std=init_std,
        pad_token_id=pad_id,
        eos_token_id=eos_id,
        decoder_start_token_id=pad_id,
        forced_eos_token_id=None,
        tie_word_embeddings=True,
    )
