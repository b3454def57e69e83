"""Mock galaxies on disk: a row-stacked file and the truth beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nebulines
from nebulines.galaxies.population.ionised_gas import LINES
from nebulines.galaxies.population.mocks import GalaxyConfig, galaxy_blocks, survey_of
from nebulines.galaxies.population.population import CLASSES
from nebulines.galaxies.population.surveys import Survey
from nebulines.lines import load_catalogue


def write_galaxies(
    output: str | Path,
    name: str,
    n: int = 1000,
    seed: int = 0,
    *,
    config: GalaxyConfig | None = None,
    advance: Any = None,
) -> tuple[Path, Path]:
    """Mock galaxies into a row-stacked file and ``OUT_TRUTH.fits``, a block in memory at a time.

    Args:
        output: the FITS file.
        name, n, seed, config: as in `simulate_galaxies`.
        advance: called with the number of galaxies written since its last call.

    Returns:
        Paths of the spectra and of the truth.

    Raises:
        UsageError: an output that cannot be written, or what `simulate_galaxies` refuses.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path.name for path in write_galaxies(folder / "mock.fits", "galaxies-sdss", n=2)]
        ['mock.fits', 'mock_TRUTH.fits']
    """
    from nebulines.io.atomic import atomic_path, check_writable
    from nebulines.synthetic.spectra_files import row_file
    from nebulines.synthetic.truth_files import TruthTable, truth_path

    output = Path(output)
    truth_file, survey = truth_path(output), survey_of(name)
    check_writable(truth_file)
    meta = _meta(survey, config or GalaxyConfig(), seed)
    with atomic_path(truth_file) as partial, row_file(output, n) as write:
        truths = TruthTable(partial, n, meta)
        for truth, spectra in galaxy_blocks(name, n, seed, config):
            truths.add(truth)
            write(truth, spectra)
            if advance:
                advance(len(truth))
        truths.finish()
    return output, truth_file


def _meta(survey: Survey, config: GalaxyConfig, seed: int) -> dict[str, Any]:
    """What the header of the truth says about itself."""
    lines = load_catalogue().select(LINES)
    air = {n: round(float(w), 4) for n, w in zip(LINES, lines.wavelength_air, strict=True)}
    return {
        "CREATOR": "nebulines",
        "NEBVERS": nebulines.__version__,
        "CONTENT": "truth of simulated galaxies",
        "INSTROW": survey.instrument.name if survey.instrument else "",
        "SURVEY": survey.name,
        "SEED": seed,
        "CONFIG": json.dumps(vars(config), default=str),
        "VELCONV": "optical",
        "LSFCORR": "yes",
        "DEREDDEN": False,
        "FLUXUNIT": survey.unit,
        "CLASSES": json.dumps(list(CLASSES)),
        "LINES": json.dumps(air),
    }
