"""Fusion: as torch's decoder layers compute it but for the gates, keys and values of an image made once."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from deepsc.vqa.fusion import Fusion


@pytest.fixture
def fusion() -> Iterator[Fusion]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield Fusion(width=16, heads=2, layers=2, dropout=0.1).eval()


def asked(images: int, image_of: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Questions of 3 to 5 tokens, which of these are valid, images of 7 tokens, and what is about which."""
    torch.manual_seed(1)
    lengths = torch.randint(3, 6, (len(image_of), 1))
    mask = (torch.arange(5) < lengths).long()
    questions, seen = torch.randn(len(image_of), 5, 16), torch.randn(images, 7, 16)
    return questions, mask, seen, torch.tensor(image_of)


def by_torch(fusion: Fusion, question: Tensor, mask: Tensor, image: Tensor) -> Tensor:
    for layer, gate in zip(fusion.layers, fusion.gates, strict=True):
        assert isinstance(layer, nn.TransformerDecoderLayer)
        hooks = gated(layer, gate)
        question = layer(question, image, tgt_key_padding_mask=mask == 0)
        for hook in hooks:
            hook.remove()
    return fusion.norm(question)


def gated(layer: nn.TransformerDecoderLayer, gate: nn.Module) -> list[RemovableHandle]:
    """Have torch's layer multiply the output of its cross-attention by the gate of its query."""
    factors: list[Tensor] = []
    return [
        layer.norm2.register_forward_hook(lambda _, __, query: factors.append(gate(query))),
        layer.multihead_attn.register_forward_hook(lambda _, __, seen: (seen[0] * factors[0], seen[1])),
    ]


@pytest.mark.parametrize("image_of", [[0, 1, 2], [0, 0, 0, 2, 1, 2], [2], [1, 0, 1]])
def test_questions_of_an_image_are_fused_as_each_alone(fusion: Fusion, image_of: list[int]) -> None:
    question, mask, image, of = asked(3, image_of)
    expected = by_torch(fusion, question, mask, image[of])
    valid = mask.bool()
    torch.testing.assert_close(fusion(question, mask, image, of)[valid], expected[valid])


def test_without_a_list_each_question_is_about_its_own_image(fusion: Fusion) -> None:
    question, mask, image, of = asked(3, [0, 1, 2])
    torch.testing.assert_close(fusion(question, mask, image, None), fusion(question, mask, image, of))


def test_keys_and_values_of_an_image_are_made_once(fusion: Fusion) -> None:
    """Of the FLOPs that a further question costs, none are of projecting the image."""

    def flops(questions: int) -> int:
        with FlopCounterMode(display=False) as counter:
            fusion(*asked(1, [0] * questions))
        return counter.get_total_flops()

    projections = 2 * 2 * 7 * 16 * 16 * len(fusion.layers)  # keys and values of 7 tokens
    assert flops(3) - flops(2) == flops(2) - flops(1) == flops(1) - projections


def test_gradients_reach_the_image_from_every_question() -> None:
    layers = Fusion(width=16, heads=2, layers=1, dropout=0.0)
    question, mask, image, of = asked(2, [0, 1, 1])
    image.requires_grad_()
    for number, about in enumerate(of.tolist()):
        layers(question, mask, image, of)[number].sum().backward()
        assert image.grad is not None
        assert image.grad[about].abs().sum() > 0
        assert image.grad[1 - about].abs().sum() == 0
        image.grad = None
