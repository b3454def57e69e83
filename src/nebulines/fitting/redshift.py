"""Redshift of spectra that bring none, by a comb of lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.normalise import normalise
from nebulines.fitting.problem import build_geometry, build_line_model, line_spread_of
from nebulines.lines import LineCatalogue
from nebulines.spectra import Spectra

MAX_REDSHIFT = 1.6


def find_redshift(spectra: Spectra, lines: LineCatalogue, config: FitConfig) -> tuple[float, float]:
    """The redshift at which the lines of the catalogue stand out most, in all spectra together.

    The same score as the velocity search (fixed line strengths of a few classes of nebula),
    summed over up to 32 spectra, over a logarithmic grid of redshifts.

    Args:
        spectra: a few bright spectra of one object, or many.
        lines: lines of the comb.
        config: options (line spread, noise).

    Returns:
        Redshift and the gain in chi2.

    Raises:
        UsageError: no line stands out anywhere.
    """
    from nebulines.fitting.search import comb_score
    from nebulines.fitting.start import line_places, plan_search

    if len(spectra) > 32:
        flux = np.asarray(spectra.flux)
        finite = np.where(np.isfinite(flux), flux, -np.inf)
        brightness = np.percentile(finite, 99.5, axis=1)
        spectra = spectra[np.argsort(brightness)[::-1][:32]]
    low, high = spectra.axis.wavelength_range()
    highest = min(MAX_REDSHIFT, high / float(lines.wavelength_air.min()) - 1.0)
    lowest = max(-0.003, low / float(lines.wavelength_air.max()) - 1.0)
    search_config = replace(config, lines=lines.names, redshift=0.0, shape="auto")
    spread, _ = line_spread_of(spectra, search_config)
    model = build_line_model(search_config, spectra.axis, spread)
    geometry = build_geometry(spectra, model, search_config)
    data = normalise(spectra, estimate_noise=spectra.variance is None)
    wide = replace(
        search_config,
        velocity_range=(lowest * SPEED_OF_LIGHT_KMS, highest * SPEED_OF_LIGHT_KMS),
        broadening_range=(0.0, 300.0),
    )
    plan = plan_search(geometry, model, wide, max_trials=20_000)
    total = np.zeros(len(plan.velocities))
    for row in range(len(spectra)):
        one = geometry.rows(slice(row, row + 1))
        values = np.atleast_2d(one.axis.values)[0]
        place = line_places(one, plan, values)[0]
        score = comb_score(
            data.data[row : row + 1],
            data.weight[row : row + 1],
            place,
            plan.strengths,
            plan.rarity,
            plan.half,
            plan.half_widths,
        )
        total += np.minimum(np.asarray(score)[0], 400.0)
    best = int(np.argmax(total))
    if total[best] < 30.0:
        raise UsageError(
            "redshift auto: no comb of lines stands out of the noise "
            f"(gain in chi2 {total[best]:.0f}); give --redshift"
        )
    return float(plan.velocities[best] / SPEED_OF_LIGHT_KMS), float(total[best])
