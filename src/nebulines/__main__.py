"""``python -m nebulines`` is the command ``nebulines``."""

from nebulines.cli.main import main

if __name__ == "__main__":
    main()
