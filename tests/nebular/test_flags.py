"""The documentation lists the flags as they are."""

from __future__ import annotations

import re
from pathlib import Path

from nebulines.nebular.flags import NebularFlag

PAGE = Path(__file__).parents[2] / "docs" / "nebular.md"


def test_the_page_is_the_enumeration():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \| (.*) \|$", text, re.MULTILINE)
    assert rows == [(str(int(flag)), flag.name, flag.meaning) for flag in NebularFlag]
