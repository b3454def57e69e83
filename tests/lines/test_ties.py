"""Fixed ratios, density doublets and kinematic groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebulines.errors import UsageError
from nebulines.lines import (
    amplitude_matrix,
    kinematic_groups,
    load_catalogue,
    load_doublets,
    load_ties,
    standard_ratios,
    tied_groups,
)

NAMES = load_catalogue().names

# transition probabilities [s-1] of the strong and the weak line, PyNeb 1.1.32 defaults: N II
# Froese Fischer & Tachiev 2004; O III Storey & Zeippen 2000; O I Wiese et al. 1996; Ne III
# Galavis et al. 1997; S III Froese Fischer et al. 2006; Ar III Munoz Burgos et al. 2009
PROBABILITIES = {
    "NII6583": (2.914e-3, 9.851e-4),
    "OIII5007": (2.046e-2, 6.791e-3),
    "OI6300": (5.651e-3, 1.823e-3),
    "NEIII3869": (1.730e-1, 5.344e-2),
    "SIII9531": (4.800e-2, 1.850e-2),
    "ARIII7136": (3.140e-1, 8.230e-2),
}


@pytest.mark.parametrize(("strong", "probabilities"), PROBABILITIES.items())
def test_ratios_follow_the_transition_probabilities(strong, probabilities):
    (tie,) = [tie for tie in load_ties() if tie.strong == strong]
    lines = load_catalogue().select([tie.strong, tie.weak])
    energy = lines.wavelength_vacuum[1] / lines.wavelength_vacuum[0]
    assert tie.ratio == pytest.approx(probabilities[0] / probabilities[1] * energy, rel=0.04)


def test_ties_and_doublets_name_lines_of_one_ion_once():
    pairs = [(tie.strong, tie.weak) for tie in load_ties()]
    pairs += [(doublet.first, doublet.second) for doublet in load_doublets()]
    species = dict(zip(NAMES, load_catalogue().species, strict=True))
    for one, other in pairs:
        assert species[one] == species[other]
    everything = [name for pair in pairs for name in pair]
    assert len(set(everything)) == len(everything)
    assert all(tie.ratio > 1 and tie.source for tie in load_ties())


def test_doublets_tend_to_statistical_weights_at_low_density():
    # 2D5/2 : 2D3/2, collision strengths in proportion to 2J + 1 (Seaton & Osterbrock 1957)
    for doublet in load_doublets():
        assert doublet.low_density == pytest.approx(1.5, rel=0.06)
        assert 0 < doublet.high_density < 0.5
    assert not {d.first for d in load_doublets()} & {t.strong for t in load_ties()}


@given(st.sets(st.sampled_from(NAMES), max_size=40).map(sorted), st.booleans())
def test_amplitude_matrix_contract(names, tied):
    matrix = amplitude_matrix(names, tied=tied)
    ties = tied_groups(names) if tied else ()
    assert matrix.shape == (len(names) - len(ties), len(names))
    assert np.all((matrix > 0).sum(axis=0) == 1)  # every line is fed by exactly one template
    assert np.all((matrix == 1).sum(axis=1) == 1)  # whose amplitude is its strong line's flux
    fluxes = np.arange(1.0, len(matrix) + 1) @ matrix
    for tie in ties:
        strong, weak = fluxes[names.index(tie.strong)], fluxes[names.index(tie.weak)]
        assert strong / weak == pytest.approx(tie.ratio)
    if not tied:
        np.testing.assert_array_equal(matrix, np.eye(len(names)))


def test_a_weak_line_alone_is_free():
    np.testing.assert_array_equal(amplitude_matrix(["NII6548"], tied=True), [[1.0]])


def test_repeated_line_is_refused():
    with pytest.raises(UsageError, match="twice"):
        amplitude_matrix(["NII6548", "NII6548"], tied=False)


def test_standard_ratios_need_both_lines():
    every = standard_ratios(NAMES)
    assert {name for pair in every for name in pair} <= set(NAMES)
    assert len(set(every)) == len(every)
    for pair in [
        ("NII6583", "HALPHA6563"),
        ("SII6716", "HALPHA6563"),
        ("SII6731", "SII6716"),
        ("OIII5007", "HBETA4861"),
        ("HALPHA6563", "HBETA4861"),
        ("NII6583", "NII6548"),
        ("OI6300", "HALPHA6563"),
        ("OII3729", "OII3726"),
    ]:
        assert pair in every
        assert standard_ratios(list(pair[::-1]))
    assert standard_ratios(["HALPHA6563"]) == []


FITTED = ["HALPHA6563", "NII6583", "HBETA4861", "OIII5007"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("all", [0, 0, 0, 0]),
        (" ALL ", [0, 0, 0, 0]),
        ("HALPHA6563,HBETA4861;NII6583,OIII5007", [0, 1, 0, 1]),
        ("NII6583", [1, 0, 1, 1]),
        ("oiii5007; nii6583 , halpha6563", [1, 1, 2, 0]),
        ("SII6716,SII6731;OIII5007", [1, 1, 1, 0]),  # a group outside the band leaves no gap
        ("HALPHA6563,NII6583,HBETA4861,OIII5007", [0, 0, 0, 0]),
    ],
)
def test_kinematic_groups(option, expected):
    np.testing.assert_array_equal(kinematic_groups(FITTED, option), expected)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("HALPHA6563;HALPHA6563,NII6583", "more than once: HALPHA6563"),
        ("HALPHA6563;;NII6583", "empty group"),
        ("", "empty group"),
        ("HALPHA6562,NII6583", "unknown line 'HALPHA6562'.*HALPHA6563"),
    ],
)
def test_bad_groups_are_refused(option, complaint):
    with pytest.raises(UsageError, match=complaint):
        kinematic_groups(FITTED, option)


def test_lines_of_a_users_catalogue_may_be_named():
    with pytest.raises(UsageError, match="unknown line 'FOO5000'"):
        kinematic_groups(FITTED, "FOO5000")
    np.testing.assert_array_equal(kinematic_groups(FITTED, "FOO5000", known=["FOO5000"]), [0] * 4)
