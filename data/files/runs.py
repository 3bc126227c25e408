"""Whose output is it? A run's identity, told from another's; one way for every command.

A run is what decides its results: its settings and the content of the files it reads, not where those files
or the results lie. Whoever writes results keeps the identity beside them, and compares before it goes on:

    identity = Identity.of(asdict(config), places=("output", "device"), sha256=checksums)
    identity.require_same(stored, where="runs/map.json", flag=named("output"))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data.files.errors import ToolkitError

_LONGEST = 60
"""Characters of a value that an error shows whole."""


@dataclass(frozen=True)
class Identity:
    """What decides a run's results, by dotted name."""

    settings: Mapping[str, Any]
    """JSON values; {"a": {"b": 1}} is {"a.b": 1}. None counts as not there."""

    @classmethod
    def of(
        cls,
        document: Mapping[str, Any],
        *,
        places: Collection[str] = (),
        sha256: Mapping[str, str] | None = None,
    ) -> Identity:
        """The identity that settings and files make.

        Args:
            document: settings, nested as they like; tuples and paths count as JSON writes them.
            places: settings that say where something lies; an entry is a dotted name or its last part.
            sha256: checksums of the files the run reads. Their names are places, too.
        """
        plain = json.loads(json.dumps(document, default=str))
        settings = {
            name: value
            for name, value in _flat(plain)
            if value is not None and name not in places and name.rpartition(".")[2] not in places
        }
        if sha256 is not None:
            settings["files"] = sorted(map(str, sha256.values()))
        return cls(settings)

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that tell runs apart in names of files."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:8]

    def differences(self, stored: Identity) -> dict[str, tuple[Any, Any]]:
        """Settings that are not alike, by name: (stored, own); None where one side has none."""
        names = {**self.settings, **stored.settings}
        pairs = {name: (stored.settings.get(name), self.settings.get(name)) for name in names}
        # As text: Python takes true for 1.
        return {name: pair for name, pair in pairs.items() if json.dumps(pair[0]) != json.dumps(pair[1])}

    def require_same(self, stored: Identity, *, where: str, flag: str, advice: str) -> None:
        """Refuse the output of another run.

        Args:
            stored: identity of what lies there.
            where: its place, for the error.
            flag: that names the place.
            advice: what to do instead.

        Raises:
            ToolkitError: naming every setting that differs, with both values.
        """
        if changes := self.changes(stored):
            raise ToolkitError(f"{flag}: {where} is of another run: {changes}; {advice}")

    def changes(self, stored: Identity) -> str:
        """The differences, for an error; "" if there are none."""
        return "; ".join(
            f"{name} was {_short(old)}, is now {_short(new)}"
            for name, (old, new) in self.differences(stored).items()
        )


def _short(value: Any) -> str:
    """A value for an error: of a long list, as that of files' checksums, its first entry alone."""
    if isinstance(value, list) and len(str(value)) > _LONGEST and len(value) > 1:
        return f"[{str(value[0])[:12]}..., {len(value) - 1} more]"
    return str(value)


def _flat(document: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        dotted = f"{above}.{name}" if above else name
        if isinstance(value, Mapping) and value:
            yield from _flat(value, dotted)
        else:
            yield dotted, value
