from .codec.base import Codec
from .config import RunConfig, SetConfig, TrainConfig
from .image.config import ImageCodecConfig, ImageRunConfig, ImageSetConfig
from .image.model import ImageCodec
from .link.channel import AWGN, Channel, Rayleigh, Rician, channel_names
from .link.transmission import Link, link_at, transmit
from .modality import Checkpoint, modality_names
from .text.config import CorpusConfig, TextCodecConfig, TextRunConfig
from .text.model import TextCodec
from .train.run import train_codec
from .transceiver import Transceiver, Transmission, load
from .version import __version__
from .vqa.config import VQACodecConfig, VQARunConfig, VQASetConfig
from .vqa.model import VQACodec
from .zoo.find import list_codecs

__all__ = [
    "AWGN",
    "Channel",
    "Checkpoint",
    "Codec",
    "CorpusConfig",
    "ImageCodec",
    "ImageCodecConfig",
    "ImageRunConfig",
    "ImageSetConfig",
    "Link",
    "Rayleigh",
    "Rician",
    "RunConfig",
    "SetConfig",
    "TextCodec",
    "TextCodecConfig",
    "TextRunConfig",
    "TrainConfig",
    "Transceiver",
    "Transmission",
    "VQACodec",
    "VQACodecConfig",
    "VQARunConfig",
    "VQASetConfig",
    "__version__",
    "channel_names",
    "link_at",
    "list_codecs",
    "load",
    "modality_names",
    "train_codec",
    "transmit",
]
