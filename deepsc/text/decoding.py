"""Greedy decoding of many sentences at once: KV cache, and sentences that are complete leave the batch.

transformers' own `generate` keeps every sentence until the longest one is complete. A sweep decodes each
sentence at every k and SNR, where the longest is much longer than the others: most of that work is spared.
The tokens are the same.
"""

from __future__ import annotations

from inspect import signature

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, MarianMTModel
from transformers.models.marian.modeling_marian import MarianDecoder

CACHE_ARGUMENT = "cache" if "cache" in signature(MarianDecoder.forward).parameters else "past_key_values"
"""What transformers calls a decoder's KV cache: "cache" from 5.24 on."""


@torch.inference_mode()
def greedy(transformer: MarianMTModel, received: Tensor, mask: Tensor, *, longest: int) -> Tensor:
    """The likeliest token at each step, until the end of the sentence.

    Args:
        transformer: its decoder starts on the pad token, and never emits it.
        received: (B, S, d_model), what the decoder attends to.
        mask: (B, S), 1 for valid source tokens.
        longest: most tokens of a sentence.

    Returns:
        Token ids (B, T'), decoder start included, pad tokens after the end of the sentence.
    """
    pad_id, eos_id = transformer.config.pad_token_id, transformer.config.eos_token_id
    decoder, head = transformer.get_decoder(), transformer.lm_head
    bias = transformer.final_logits_bias[0].clone()  # (vocab_size,)
    bias[pad_id] = -torch.inf
    ids = torch.full((len(received), longest + 1), pad_id, device=received.device)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    alive = torch.arange(len(received), device=received.device)  # rows of the sentences still decoded
    tokens = ids[:, 0]
    length = 0
    while length < longest and len(alive):
        length += 1
        hidden = decoder(
            input_ids=tokens.unsqueeze(1),
            encoder_hidden_states=received,
            encoder_attention_mask=mask,
            use_cache=True,
            **{CACHE_ARGUMENT: cache},
        ).last_hidden_state[:, -1]  # (alive, d_model)
        tokens = nn.functional.linear(hidden, head.weight, bias).argmax(dim=1)
        ids[alive, length] = tokens
        stays = (tokens != eos_id).nonzero().squeeze(1)
        if len(stays) < len(alive):
            cache.batch_select_indices(stays)
            alive, tokens, received, mask = alive[stays], tokens[stays], received[stays], mask[stays]
    return ids[:, : length + 1]
