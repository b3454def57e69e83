"""The list of finished blocks that lets an interrupted run go on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)
_COUNT = re.compile(r"([a-z][a-z ]*) \((\d+)\)")


def fingerprint(facts: Any) -> str:
    """Digest of everything that must be the same for a run to go on: configuration, input,
    blocks, outputs.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Journal:
    """What a run has finished, as a small JSON file beside its outputs.

    Attributes:
        path: the file, or None for a run in memory.
        fingerprint: see `fingerprint`.
        done: numbers of the finished blocks.
        files: name of an output -> where its extensions lie (`Canvas.places`).
        notes: header facts of the blocks so far.
    """

    path: Path | None = None
    fingerprint: str = ""
    done: set[int] = field(default_factory=set)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, path: Path, mark: str, *, resume: bool) -> Journal:
        """The journal of an interrupted run of the same kind when ``resume``, else a new one;
        a warning says why when there is one that cannot be used."""
        if resume and path.exists():
            reason = "it was made with another configuration or input"
            try:
                saved = json.loads(path.read_text())
                if saved["fingerprint"] == mark:
                    return cls(path, mark, set(saved["done"]), saved["files"], saved["notes"])
            except (OSError, ValueError, KeyError, TypeError):
                reason = "its journal cannot be read"
            _LOG.warning("cannot resume the earlier run (%s): starting anew", reason)
        return cls(path, mark)

    def save(self) -> None:
        """Write the journal, whole or not at all."""
        if self.path is None:
            return
        partial = self.path.with_name(self.path.name + ".new")
        partial.write_text(
            json.dumps(
                {
                    "fingerprint": self.fingerprint,
                    "done": sorted(self.done),
                    "files": self.files,
                    "notes": self.notes,
                }
            )
        )
        os.replace(partial, self.path)

    def restart(self) -> None:
        """Forget an earlier run whose unfinished files are not as it left them."""
        if self.done:
            _LOG.warning("cannot resume the earlier run (its files have changed): starting anew")
        self.done, self.files, self.notes = set(), {}, {}

    def add_notes(self, notes: dict[str, str]) -> None:
        """Join the notes of one more block: how many spectra went which way is summed, other
        values that differ are listed, comma-separated."""
        for key, value in notes.items():
            if key == "FITPATH" and (total := _summed(self.notes.get(key, ""), value)):
                self.notes[key] = total
                continue
            seen = self.notes.get(key)
            if seen is None:
                self.notes[key] = str(value)
            elif str(value) not in seen:
                self.notes[key] = f"{seen},{value}"[:200]


def _summed(first: str, second: str) -> str:
    """Sums of notes such as ``filter bank (9), direct (1)``; "" where one is not of that form.

    Example:
        >>> _summed("filter bank (9), direct (1)", "filter bank (5), direct (0)")
        'filter bank (14), direct (1)'
    """
    total: Counter[str] = Counter()
    for note in (first, second):
        parts = _COUNT.findall(note)
        if ", ".join(f"{name} ({count})" for name, count in parts) != note:
            return ""
        for name, count in parts:
            total[name] += int(count)
    return ", ".join(f"{name} ({count})" for name, count in total.items())
