"""Images sent as clusters of their token features, beside the linear code that training starts from.

    python benchmarks/image_tokens.py --local image-imagenette-deit-small --data-dir DATA

Both take features between the blocks of the UE and those of the server, of the same local model, and nothing
is trained over the channel. "clustered": each token is the nearest of --clusters centroids (k-means over
--images training images), sent as one point of a random Gaussian codebook of 2 k reals. The receiver weighs
all points by likelihood and by how often each cluster occurs at that place of the grid, and hands the server
the expected centroid. "linear": the principal-component code (`deepsc.link.principal`). Given is the ratio to
the local model's accuracy on AWGN, on the first --limit test images.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator

import torch
from flag_types import int_list, positive_int
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from data.images.load import load_images
from data.images.sets import ImageSplit
from data.settings.flags import float_grid
from data.terminal.command import Parser, run_command
from deepsc.checkpoint import from_pretrained
from deepsc.image.evaluate import encode_images
from deepsc.image.model import ImageCodec
from deepsc.link.channel import Channel, db_to_linear
from deepsc.link.principal import start_as_principal_code
from deepsc.link.transmission import Link, link_at
from deepsc.train.run import start_from
from deepsc.zoo.find import resolve

Send = Callable[[Tensor, Link], Tensor]
"""Features (B, S, width) to features at the server."""
AT_ONCE = 25
"""Images that cross together."""


class Clustered:
    """Tokens as clusters, each with a point of a random codebook.

    Args:
        features: of training images, (N, S, width).
        clusters: how many.
        seed: of k-means and codebook.
    """

    def __init__(self, features: Tensor, *, clusters: int, seed: int) -> None:
        images, tokens, width = features.shape
        found = MiniBatchKMeans(clusters, batch_size=4096, n_init=1, max_iter=20, random_state=seed)
        labels = torch.from_numpy(found.fit_predict(features.reshape(-1, width).numpy())).long()
        self.centroids = torch.from_numpy(found.cluster_centers_).float()  # (C, width)
        counts = torch.zeros(tokens, clusters)
        places = torch.arange(tokens).repeat(images)
        counts.index_put_((places, labels), torch.ones(len(labels)), accumulate=True)
        everywhere = counts.sum(0) + 1
        self.prior = (counts + everywhere / everywhere.sum()).log()  # (S, C), up to a constant of the place
        self._seed = seed

    def nearest(self, features: Tensor) -> Tensor:
        """Clusters (B, S) of features (B, S, width)."""
        return torch.cdist(features.flatten(0, 1), self.centroids).argmin(1).view(features.shape[:2])

    def bare(self, features: Tensor) -> Tensor:
        """The nearest centroids, without the channel."""
        return self.centroids[self.nearest(features)]

    def send(self, features: Tensor, link: Link) -> Tensor:
        """Expected centroids at the receiver, (B, S, width)."""
        k, generator = int(link.k[0]), torch.Generator().manual_seed(self._seed)
        codebook = torch.randn(len(self.centroids), 2 * k, generator=generator)
        sent = codebook[self.nearest(features)]  # (B, S, 2 k)
        scale = sent.square().sum(-1).div(k).mean(1).rsqrt().view(-1, 1, 1)  # energy 1 a complex symbol
        x = torch.view_as_complex((sent * scale).unflatten(-1, (k, 2)))
        gain = torch.ones(1, 1, 1, dtype=x.dtype)
        y = link.channel.receive(x, gain, link.snr_db, generator=link.generator)
        received = torch.view_as_real(y).flatten(-2)
        apart = torch.cdist(received, (codebook / 2**0.5).unsqueeze(0)).square()  # (B, S, C)
        snr = db_to_linear(link.snr_db).view(-1, 1, 1)
        return (self.prior - snr * apart).softmax(-1) @ self.centroids


def linear(local: ImageCodec, features: Tensor, k_max: int) -> Send:
    """The principal-component code of features (N, width), as a training starts."""
    codec = ImageCodec(dataclasses.replace(local.config, k=(k_max,)))
    start_from(codec, local.state_dict())
    assert codec.jsc_encoder is not None
    assert codec.jsc_decoder is not None
    start_as_principal_code(codec.jsc_encoder, codec.jsc_decoder, features)
    codec.eval()
    return codec.transmit


def right(local: ImageCodec, received: Iterable[Tensor], labels: Tensor) -> float:
    """Share of images that are told from their features at the server, (B, S, width) at a time."""
    found = [local.classify(local.embed(part)).argmax(1) for part in received]
    return float((torch.cat(found) == labels).double().mean())


@torch.inference_mode()
def report(options: argparse.Namespace) -> None:
    checkpoint = from_pretrained(resolve(options.local, "local", setting="local"))
    local = checkpoint.codec
    assert isinstance(local, ImageCodec)
    images = load_images(**dataclasses.asdict(checkpoint.corpus) | {"data_dir": options.data_dir})

    def encoded(split: ImageSplit) -> Tensor:
        return torch.cat(encode_images(local, split))

    train, test = encoded(images.train.draw(options.images)), images.test.head(options.limit)
    features, labels = encoded(test), torch.from_numpy(test.labels)

    parts = features.split(AT_ONCE)

    def over(send: Send, k: int, snr_db: float) -> Iterator[Tensor]:
        for number, part in enumerate(parts):  # each with noise of its own
            link = link_at(Channel(), k=k, snr_db=snr_db, like=part, seed=(options.seed, number))
            assert link is not None
            yield send(part, link)

    whole = right(local, parts, labels)
    cells = [(k, snr_db) for k in options.k for snr_db in options.snr_db]
    print(f"{len(test)} images, local model {100 * whole:.1f} %")
    print("| code | no channel | " + " | ".join(f"k = {k}, {snr_db:g} dB" for k, snr_db in cells) + " |")
    print(f"|---|---|{'---|' * len(cells)}", flush=True)

    def row(name: str, bare: Iterable[Tensor], send: Send) -> None:
        ways = [bare, *(over(send, k, snr_db) for k, snr_db in cells)]
        shares = [right(local, way, labels) for way in ways]
        print(f"| {name} | " + " | ".join(f"{share / whole:.3f}" for share in shares) + " |", flush=True)

    row("linear", parts, linear(local, train.flatten(0, 1), max(options.k)))
    for clusters in options.clusters:
        code = Clustered(train, clusters=clusters, seed=options.seed)
        row(f"{clusters} clusters", map(code.bare, parts), code.send)


def main(argv: list[str] | None = None) -> int:
    flags = Parser(prog="image_tokens.py", description=__doc__)
    flags.add_argument("--local", metavar="DIR", required=True, help="an image codec's local model")
    flags.add_argument("--data-dir", metavar="DIR", default=os.environ.get("DEEPSC_DATA"))
    flags.add_argument("--clusters", type=int_list, default=(16, 64, 256, 1024))
    flags.add_argument("--images", type=positive_int, default=1000, help="training images that are clustered")
    flags.add_argument("--limit", type=positive_int, default=500, help="test images")
    flags.add_argument("--k", type=int_list, default=(4, 16))
    flags.add_argument("--snr-db", type=float_grid, default=(-9.0, -6.0, -3.0, 0.0, 6.0, 18.0))
    flags.add_argument("--seed", type=int, default=0)
    options = flags.parse_args(argv)
    return run_command("image_tokens.py", lambda: report(options))


if __name__ == "__main__":
    raise SystemExit(main())
