"""The parts of real codecs as modules with inputs, ready to be counted or timed.

On the meta device shapes alone are computed: no weights, no data, whatever the model's size. Module paths are
the codec's own, so that they meet the closed form's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepsc.link.transmission import Received
from deepsc.text.config import TextCodecConfig
from profiling.closed.jsc import prefixes
from profiling.counted.copies import Method, Workload

if TYPE_CHECKING:
    from deepsc.image.model import ImageCodec
    from deepsc.text.model import TextCodec
    from deepsc.vqa.model import VQACodec
    from profiling.counted.text_decoder import Count

Workloads = dict[str, Workload]
"""By the name of the part."""


def parts_of(codec: Any, task: Mapping[str, int], *, batch: int = 1) -> Workloads:
    """Every part of a codec as it runs, in a task of these sizes."""
    if isinstance(codec.config, TextCodecConfig):
        return _text_parts(codec, **task, batch=batch)
    return (_vqa_parts if "k_text" in task else _image_parts)(codec, **task, batch=batch)


def count_parts(codec: Any, task: Mapping[str, int], count: Callable[[Workload], Count]) -> dict[str, Count]:
    """What a counter says of each part; of a generation it sees three steps, which give the others."""
    parts = parts_of(codec, task)
    if not isinstance(codec.config, TextCodecConfig):
        return {name: count(part) for name, part in parts.items()}
    from profiling.counted.text_decoder import count_generation

    del parts["semantic decoder"]
    lengths = {name: task[name] for name in ("source_length", "target_length", "beams")}
    return {
        **{name: count(part) for name, part in parts.items()},
        "semantic decoder": count_generation(codec, count, **lengths),
    }


def _text_parts(
    codec: TextCodec, *, source_length: int, target_length: int, k: int, beams: int, batch: int
) -> Workloads:
    from deepsc.text.model import first_layers
    from profiling.counted.text_decoder import generation

    device, dtype = _where(codec)
    config = codec.config
    # Without a mask, which transformers would look into, and meta tensors hold no values.
    source = torch.zeros(batch, source_length, dtype=torch.long, device=device)
    embedded = torch.zeros(batch, source_length, config.d_model, device=device, dtype=dtype)
    encoder = codec.transformer.get_encoder()
    part = first_layers(encoder, config.split)  # no module of the codec: its layers count, not itself
    first = Workload(module=Method(codec, lambda ids: part.forward(input_ids=ids)), inputs=(source,))
    lengths = {"source_length": source_length, "target_length": target_length}
    return {
        **({"encoder layers at the UE": first} if config.split else {}),
        **_token_jsc(
            codec,
            "",
            tokens=source_length,
            k=k,
            batch=batch,
            features=embedded if config.split else None,
        ),
        "semantic encoder": Workload(
            module=Method(codec, lambda x: encoder(inputs_embeds=x).last_hidden_state), inputs=(embedded,)
        ),
        "semantic decoder": generation(codec, **lengths, beams=beams, batch=batch),
    }


def _token_jsc(
    codec: TextCodec | VQACodec, of: str, *, tokens: int, k: int, batch: int, features: Tensor | None = None
) -> Workloads:
    """JSC encoder and decoder of tokens; `of` as of `profiling.closed.jsc`, features as the encoder reads."""
    device, _ = _where(codec)
    name, path = prefixes(of)
    encoder, decoder = getattr(codec, f"{path}jsc_encoder"), getattr(codec, f"{path}jsc_decoder")
    symbols = torch.zeros(batch, tokens, encoder.k_max, dtype=torch.complex64, device=device)
    mask = torch.ones(batch, tokens, dtype=torch.long, device=device)
    sizes, snr_db = torch.full((batch,), k, device=device), torch.zeros(batch, device=device)

    def receive(symbols: Tensor, mask: Tensor, k: Tensor, snr_db: Tensor) -> Tensor:
        received = Received(
            symbols=symbols, snr=snr_db.view(-1, 1, 1), equalised=True, mask=mask, k=k, snr_db=snr_db
        )
        return codec.expect(decoder(received, encoder.points))

    return {
        f"{name}JSC encoder": Workload(
            module=Method(codec, lambda ids, x: encoder(ids, mask, k=sizes, features=x)),
            inputs=(mask, features),
        ),
        f"{name}JSC decoder": Workload(module=Method(codec, receive), inputs=(symbols, mask, sizes, snr_db)),
    }


def _image_parts(codec: ImageCodec, *, k: int, batch: int) -> Workloads:
    config = codec.config
    device, dtype = _where(codec)
    images = torch.zeros(batch, 3, config.image_size, config.image_size, device=device, dtype=dtype)
    features = torch.zeros(batch, config.image_tokens, config.width, device=device, dtype=dtype)
    jsc = _jsc(codec, "", tokens=config.image_tokens, width=config.width, k=k, batch=batch)
    return {
        "semantic encoder": Workload(module=Method(codec, codec.encode), inputs=(images,)),
        "JSC encoder": jsc[0],
        "JSC decoder": jsc[1],
        "semantic decoder": Workload(
            module=Method(codec, lambda received: codec.classify(codec.embed(received))), inputs=(features,)
        ),
    }


def _vqa_parts(codec: VQACodec, *, source_length: int, k_text: int, k_image: int, batch: int) -> Workloads:
    config = codec.config
    device, dtype = _where(codec)
    mask = torch.ones(batch, source_length, dtype=torch.long, device=device)
    images = torch.zeros(batch, 3, config.image_size, config.image_size, device=device, dtype=dtype)
    text = torch.zeros(batch, source_length, config.text_width, device=device, dtype=dtype)
    image = torch.zeros(batch, config.image_tokens, config.image_width, device=device, dtype=dtype)
    image_jsc = _jsc(
        codec, "image_", tokens=config.image_tokens, width=config.image_width, k=k_image, batch=batch
    )
    return {
        **_token_jsc(codec, "text", tokens=source_length, k=k_text, batch=batch),
        "image encoder": Workload(module=Method(codec, codec.encode_image), inputs=(images,)),
        "image JSC encoder": image_jsc[0],
        "text encoder": Workload(module=Method(codec, codec.text_encoder), inputs=(text, mask)),
        "image JSC decoder": image_jsc[1],
        "fusion and answer": Workload(module=Method(codec, codec.answer), inputs=(text, mask, image)),
    }


def _jsc(
    codec: nn.Module, prefix: str, *, tokens: int, width: int, k: int, batch: int
) -> tuple[Workload, Workload]:
    device, dtype = _where(codec)
    encoder = getattr(codec, f"{prefix}jsc_encoder")
    decoder = getattr(codec, f"{prefix}jsc_decoder")
    features = torch.zeros(batch, tokens, width, device=device, dtype=dtype)
    mask = torch.ones(batch, tokens, dtype=torch.long, device=device)
    symbols = torch.zeros(batch, tokens, encoder.k_max, dtype=torch.complex64, device=device)
    condition = (torch.full((batch,), k, device=device), torch.zeros(batch, device=device))
    return (
        Workload(
            module=Method(codec, lambda x, m, k, snr_db: encoder(x, m, k=k, snr_db=snr_db)),
            inputs=(features, mask, *condition),
        ),
        Workload(
            module=Method(codec, lambda x, k, snr_db: decoder(x, k=k, snr_db=snr_db)),
            inputs=(symbols, *condition),
        ),
    )


def _where(codec: nn.Module) -> tuple[torch.device, torch.dtype]:
    weight = next(codec.parameters())
    return weight.device, weight.dtype
