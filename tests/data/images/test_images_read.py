"""Pixels of image files: upright, and with the levels of any bit depth."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.files.errors import ToolkitError
from data.images.read import Pixels, read_image

UPRIGHT = np.zeros((32, 16, 3), np.uint8)
UPRIGHT[:8] = 255
UPRIGHT[:, :8, 0] = 200


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [  # where the image's first row and first column lie in the file, by the EXIF standard
        (1, lambda image: image),
        (2, lambda image: image[:, ::-1]),
        (3, lambda image: image[::-1, ::-1]),
        (4, lambda image: image[::-1]),
        (5, lambda image: image.transpose(1, 0, 2)),
        (6, lambda image: image.transpose(1, 0, 2)[::-1]),
        (7, lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
        (8, lambda image: image.transpose(1, 0, 2)[:, ::-1]),
        (0, lambda image: image),
        (9, lambda image: image),
    ],
)
def test_photographs_are_upright(
    tmp_path: Path, kind: str, orientation: int, stored: Callable[[Pixels], Pixels]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{kind.lower()}"
    lossless = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(stored(UPRIGHT).copy()).save(path, kind, exif=exif, **lossless)
    difference = np.abs(read_image(path).astype(int) - UPRIGHT)
    assert read_image(path).shape == UPRIGHT.shape
    assert difference.max() == 0 if kind != "JPEG" else difference.mean() < 12


def test_damaged_exif_data_leave_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(UPRIGHT).save(path, exif=b"Exif\0\0no EXIF data")
    assert np.array_equal(read_image(path), UPRIGHT)


def png(depth: int, colour: int, samples: list[int]) -> bytes:
    """A PNG file of one row."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    header = struct.pack(">IIBBBBB", len(samples) // channels, 1, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 4), (16, 4), (16, 2), (16, 6)]
)
def test_every_bit_depth_of_png_keeps_its_levels(depth: int, colour: int) -> None:
    most = 2**depth - 1
    levels = sorted({0, most // 4, most // 2, most})
    beside = {0: [], 2: [], 4: [most], 6: [most]}[colour]  # opaque
    each = 3 if colour in (2, 6) else 1
    samples = [sample for level in levels for sample in (*[level] * each, *beside)]
    pixels = read_image(io.BytesIO(png(depth, colour, samples)))
    assert pixels.shape == (1, len(levels), 3)
    assert np.abs(pixels - 255 * np.array(levels)[:, None] / most).max() < 1


@pytest.mark.parametrize("most", [1, 2, 7, 15, 100, 254, 255, 256, 1000, 1023, 4095, 65534, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_every_largest_level_of_pgm_keeps_its_levels(most: int, plain: bool) -> None:
    levels = sorted({0, most // 4, most // 2, most})
    header = f"{'P2' if plain else 'P5'} {len(levels)} 1 {most}\n".encode()
    packed = struct.pack(f">{len(levels)}{'B' if most < 256 else 'H'}", *levels)
    body = " ".join(map(str, levels)).encode() + b"\n" if plain else packed
    pixels = read_image(io.BytesIO(header + body))
    assert np.abs(pixels[0, :, 0] - 255 * np.array(levels) / most).max() <= 1


def test_bits_are_black_and_white_and_floats_are_refused() -> None:
    assert read_image(io.BytesIO(b"P4 8 1\n\x0f"))[0, :, 1].tolist() == [255] * 4 + [0] * 4
    for kind in (b"Pf", b"PF"):
        with pytest.raises(ToolkitError, match="not a readable image"):
            read_image(io.BytesIO(kind + b"\n2 1\n-1.0\n" + bytes(24)))
    with pytest.raises(ToolkitError, match="floating-point levels have no range; save it as 8 or 16 bits"):
        read_image(io.BytesIO(b"Pf\n2 1\n-1.0\n" + bytes(8)))
