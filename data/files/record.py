"""The TensorBoard record of a training: scalars, each on disk as soon as it is added."""

from __future__ import annotations

import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Record:
    """Scalars over the steps of a training, as TensorBoard reads them.

    A record that cannot be written, on a full disk or in a folder that was removed, ends with a warning; the
    training goes on. TensorBoard's own writer works in a thread, which prints a traceback there.

    Args:
        folder: of the record; made if it is missing.
        done: finished steps. What an earlier record in the folder says of later ones is hidden.
    """

    def __init__(self, folder: str | os.PathLike[str], *, done: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # takes a while to load

        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._path = Path(folder) / name
        self._ended = False
        start = SessionLog(status=SessionLog.START)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            self._end(error)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._write(Event(wall_time=time.time(), step=done + 1, session_log=start))

    def add(self, name: str, value: float, *, step: int) -> None:
        """Add a scalar.

        Args:
            name: such as "validation/loss".
            value: of it.
            step: number of finished steps.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalar = Summary.Value(tag=name, simple_value=value)
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[scalar])))

    def _write(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        if self._ended:
            return
        try:
            # "r+b", unlike "ab", makes no file where the folder was removed and made anew.
            with self._path.open("r+b") as stream:
                stream.seek(0, os.SEEK_END)
                RecordWriter(stream).write(event.SerializeToString())
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> None:
        self._ended = True
        logger.warning(
            "%s: cannot be written (%s); training goes on without a TensorBoard record",
            self._path.parent, error.strerror or error,
        )  # fmt: skip
