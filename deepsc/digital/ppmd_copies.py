"""A small process that codes each request with a copy of one primed PPMd encoder, for `deepsc.digital.ppmd`.

An encoder cannot be copied but with its process, and priming takes half a second. Run as a script, so that
nothing large is copied. Requests and answers are bytes behind their number, of 4 bytes. The first request is
what the encoder is primed with, its answer what it wrote; each answer after that is what it writes further.
"""

import os
import sys
from typing import BinaryIO

import pyppmd


def send(stream: BinaryIO, data: bytes) -> None:
    """Write bytes behind their number."""
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """Read bytes behind their number; None at the end of the stream."""
    return stream.read(int.from_bytes(size, "big")) if (size := stream.read(4)) else None


def main(order: int, memory: int) -> None:
    """Answer requests until there are no more."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    priming = receive(requests) or b""
    encoder = pyppmd.Ppmd7Encoder(order, memory)
    send(answers, encoder.encode(priming))
    while (data := receive(requests)) is not None:
        if not hasattr(os, "fork"):
            encoder = pyppmd.Ppmd7Encoder(order, memory)
            encoder.encode(priming)
            send(answers, encoder.encode(data) + encoder.flush())
        elif not (child := os.fork()):
            send(answers, encoder.encode(data) + encoder.flush())
            os._exit(0)
        elif os.waitpid(child, 0)[1]:
            raise RuntimeError("PPMd's encoder failed")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
