"""Pretrained weights to start a text codec from: OPUS-MT's Marian models (Tiedemann and Thottingal, 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import MarianConfig, MarianMTModel

from data.files.errors import ToolkitError
from data.settings import named
from data.text.tokenizer import OpusMTTokenizer
from deepsc.codec.pretrained import weights_file
from deepsc.text.config import TextCodecConfig

# What deepsc.text.model builds and TextCodecConfig has no field for.
_EXPECTED = {
    "activation_function": "swish",
    "scale_embedding": True,
    "share_encoder_decoder_embeddings": True,
}


@dataclass(frozen=True, kw_only=True)
class OpusMT:
    """Pretrained weights and what belongs to them."""

    transformer: MarianMTModel
    tokenizer: OpusMTTokenizer
    config: TextCodecConfig
    """Of the local model: without k."""
    weights_file: Path | None
    """What the weights were read from, where it is known."""


def load_opus_mt(name: str) -> OpusMT:
    """Load opus-mt weights and their tokenizer.

    Args:
        name: a folder, or a name on the Hugging Face hub such as "Helsinki-NLP/opus-mt-en-de".

    Raises:
        ToolkitError: if they cannot be had, or are not of opus-mt's architecture.
    """
    tokenizer = OpusMTTokenizer.load(name)
    try:
        transformer = MarianMTModel.from_pretrained(name, dtype=torch.float32)
    except Exception as error:  # the hub's, transformers', torch's and safetensors' many kinds
        raise ToolkitError(
            f"{named('pretrained')}: no Marian weights to be had from {name!r}; give a folder that "
            f"save_pretrained wrote, or a hub name with a network ({error})"
        ) from error
    marian = transformer.config
    wrong = [
        f"{field} is {getattr(marian, field)}"
        for field, value in _EXPECTED.items()
        if getattr(marian, field) != value
    ]
    for encoder, decoder in (
        ("encoder_layers", "decoder_layers"),
        ("encoder_attention_heads", "decoder_attention_heads"),
        ("encoder_ffn_dim", "decoder_ffn_dim"),
        ("pad_token_id", "decoder_start_token_id"),
    ):
        if getattr(marian, encoder) != getattr(marian, decoder):
            wrong.append(f"{encoder} {getattr(marian, encoder)} is not {decoder} {getattr(marian, decoder)}")
    if wrong:
        raise ToolkitError(
            f"{named('pretrained')}: {name!r} is not of opus-mt's architecture: {'; '.join(wrong)}"
        )
    return OpusMT(
        transformer=transformer,
        tokenizer=tokenizer,
        config=_codec_config(marian, Path(name).name),
        weights_file=weights_file(name),
    )


def _codec_config(marian: MarianConfig, preset: str) -> TextCodecConfig:
    return TextCodecConfig(
        preset=preset,
        vocab_size=marian.vocab_size,
        d_model=marian.d_model,
        layers=marian.encoder_layers,
        heads=marian.encoder_attention_heads,
        d_ff=marian.encoder_ffn_dim,
        dropout=marian.dropout,
        pad_id=marian.pad_token_id,
        eos_id=marian.eos_token_id,
        max_length=marian.max_position_embeddings,
    )
