from .load import DATASETS, SPLITS, hold_out, load_images
from .read import LARGEST_IMAGE, ImageFiles, Pixels, bad_images, image_paths, read_image
from .sets import ImageSet, ImageSplit

__all__ = [
    "DATASETS",
    "LARGEST_IMAGE",
    "SPLITS",
    "ImageFiles",
    "ImageSet",
    "ImageSplit",
    "Pixels",
    "bad_images",
    "hold_out",
    "image_paths",
    "load_images",
    "read_image",
]
