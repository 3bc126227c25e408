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

from deepsc.codec import Codec
from deepsc.config import TextCodecConfig
from deepsc.jsc import JSCDecoder, JSCEncoder
from deepsc.link import Link, transmit


@dataclass(frozen=True, kw_only=True)
class TextBatch:
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

    def to(self, device: torch.device) -> TextBatch:
        """The batch on another device."""
        return TextBatch(**{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})


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
        """Features at the server, (B, S, d_model); see `deepsc.link.transmit`."""
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
        return self.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=received),
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            max_new_tokens=longest,
            suppress_tokens=[self.config.pad_id],  # never trained, and opus-mt's would win
        )


def collate(source: Sequence[Sequence[int]], target: Sequence[Sequence[int]], *, pad_id: int) -> TextBatch:
    """Pad token ids, ends of sentence included, to one batch. Marian's decoder starts on the pad token."""
    padded = [
        nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=pad_id)
        for rows in (source, target)
    ]
    lengths = torch.tensor([len(row) for row in source])
    mask = (torch.arange(padded[0].shape[1]) < lengths.unsqueeze(1)).long()
    start = torch.full((len(target), 1), pad_id)
    decoder_input = torch.cat((start, padded[1][:, :-1]), dim=1)
    return TextBatch(source=padded[0], mask=mask, target=padded[1], decoder_input=decoder_input)


def _marian_config(config: TextCodecConfig) -> MarianConfig:
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
        attention_dropout=config.dropout,
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
