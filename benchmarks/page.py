"""``docs/measured.md`` from the result files: ``python -m benchmarks.page``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reporting import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "measured.md"
ORDER = ("speed", "accuracy")
INTRODUCTION = """# Measured

What nebulines does, in numbers: each with its target, the command that measured it and the
machine it ran on. To measure again, from a clone with the package installed:

```
python -m benchmarks.all            # 10 to 15 minutes on two cores
python -m benchmarks.all --quick    # a minute or two: smaller sets, wider uncertainties
```

`--luci PYTHON` names a Python where the peer `luci-sitelle` is installed; it is then measured on
the same spectra. The commands write `benchmarks/results/` (Markdown and JSON) and this page.
"""


def write_page(target: Path = PAGE) -> Path:
    """Join the results that exist into one page, headings one level down."""
    parts = [INTRODUCTION.strip()]
    for name in ORDER:
        source = RESULTS / f"{name}.md"
        if source.exists():
            lines = source.read_text(encoding="utf-8").strip().splitlines()
            parts.append("\n".join(f"#{line}" if line.startswith("#") else line for line in lines))
    target.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    write_page()
