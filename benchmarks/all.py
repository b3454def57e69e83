"""Every benchmark and the page that shows them: ``python -m benchmarks.all [--quick]``."""

from __future__ import annotations

import subprocess
import sys

import click

from benchmarks.page import write_page


@click.command()
@click.option("--quick", is_flag=True, help="A minute or two instead of a quarter of an hour.")
@click.option("--luci", help="Python of an environment where luci-sitelle is installed.")
def main(quick: bool, luci: str | None) -> None:
    """Run all benchmarks, each in a process of its own, and write docs/measured.md."""
    short = ["--quick"] if quick else []
    peer = ["--luci", luci] if luci else []
    failed = False
    for name, more in (("speed", peer), ("accuracy", [])):
        status = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *short, *more])
        failed |= status.returncode != 0
    write_page()
    if failed:
        raise click.ClickException("a benchmark failed; its message is above")


if __name__ == "__main__":
    main()
