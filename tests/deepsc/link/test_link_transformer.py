"""The context Transformer of servers."""

import torch

from deepsc.link.transformer import pre_norm_transformer


def test_layers_do_not_start_alike() -> None:
    first, second = pre_norm_transformer(width=8, layers=2, heads=2, dropout=0.0).layers
    for name, weights in first.named_parameters():
        if weights.dim() == 2:
            assert not torch.equal(weights, second.get_parameter(name)), name
