"""Colours of coats, linear RGB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fairstack_local.plan.scene_plan import Coat, Subject
from fairstack_local.scene.vectors import Vec


@dataclass(frozen=True, slots=True)
class Pelt:
    """Which part of an animal has which colour."""

    back: Vec
    belly: Vec
    leg: Vec
    paw: Vec
    head: Vec
    muzzle: Vec
    ear: Vec
    tail_tip: Vec
    nose: Vec = (0.022, 0.018, 0.018)


def _plain(colour: Vec, pale: float, dark: float) -> Pelt:
    light = _mixed(colour, (0.80, 0.72, 0.60), pale)
    shade = _mixed(colour, (0.03, 0.02, 0.02), dark)
    return Pelt(colour, light, colour, light, colour, light, shade, light)


def _mixed(a: Vec, b: Vec, share: float) -> Vec:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


_WHITE_FUR: Vec = (0.78, 0.74, 0.68)
_COATS: Mapping[Coat, Pelt] = {
    Coat.GOLDEN: Pelt(
        back=(0.60, 0.33, 0.115),
        belly=(0.74, 0.50, 0.24),
        leg=(0.64, 0.38, 0.15),
        paw=(0.72, 0.48, 0.23),
        head=(0.63, 0.37, 0.14),
        muzzle=(0.68, 0.44, 0.20),
        ear=(0.50, 0.255, 0.085),
        tail_tip=(0.74, 0.50, 0.25),
    ),
    Coat.BLACK: _plain((0.030, 0.027, 0.026), 0.05, 0.4),
    Coat.WHITE: _plain(_WHITE_FUR, 0.2, 0.10),
    Coat.BROWN: _plain((0.20, 0.095, 0.045), 0.10, 0.30),
    Coat.GREY: _plain((0.28, 0.27, 0.27), 0.25, 0.35),
    Coat.RED: _plain((0.48, 0.17, 0.055), 0.22, 0.25),
    Coat.HUSKY: Pelt(
        back=(0.125, 0.125, 0.14),
        belly=_WHITE_FUR,
        leg=(0.70, 0.67, 0.63),
        paw=_WHITE_FUR,
        head=(0.14, 0.14, 0.155),
        muzzle=_WHITE_FUR,
        ear=(0.10, 0.10, 0.11),
        tail_tip=_WHITE_FUR,
    ),
}
_NATURAL: Mapping[Subject, Pelt] = {
    Subject.DOG: _COATS[Coat.GOLDEN],
    Subject.WOLF: Pelt(
        back=(0.23, 0.205, 0.185),
        belly=(0.56, 0.51, 0.45),
        leg=(0.44, 0.39, 0.33),
        paw=(0.50, 0.46, 0.40),
        head=(0.27, 0.24, 0.21),
        muzzle=(0.54, 0.49, 0.43),
        ear=(0.19, 0.155, 0.13),
        tail_tip=(0.07, 0.065, 0.065),
    ),
    Subject.FOX: Pelt(
        back=(0.56, 0.185, 0.045),
        belly=(0.78, 0.72, 0.65),
        leg=(0.10, 0.055, 0.040),
        paw=(0.045, 0.035, 0.032),
        head=(0.58, 0.21, 0.055),
        muzzle=(0.78, 0.70, 0.62),
        ear=(0.10, 0.05, 0.035),
        tail_tip=(0.80, 0.76, 0.70),
    ),
}


def pelt_of(subject: Subject, coat: Coat) -> Pelt:
    """The colours of this animal in this coat."""
    if coat is Coat.NATURAL or (subject is Subject.FOX and coat is Coat.RED):
        return _NATURAL.get(subject, _COATS[Coat.WHITE])
    return _COATS[coat]


@dataclass(frozen=True, slots=True)
class Plumage:
    """Which part of a bird has which colour."""

    body: Vec
    head: Vec
    wing: Vec
    wing_tip: Vec
    tail: Vec
    beak: Vec


_GULL = Plumage(
    body=(0.74, 0.74, 0.74),
    head=(0.78, 0.78, 0.78),
    wing=(0.40, 0.43, 0.47),
    wing_tip=(0.05, 0.05, 0.055),
    tail=(0.74, 0.74, 0.74),
    beak=(0.72, 0.42, 0.05),
)
_EAGLE = Plumage(
    body=(0.105, 0.060, 0.034),
    head=(0.24, 0.145, 0.070),
    wing=(0.115, 0.068, 0.040),
    wing_tip=(0.040, 0.027, 0.020),
    tail=(0.16, 0.10, 0.062),
    beak=(0.50, 0.36, 0.08),
)


def plumage_of(coat: Coat) -> Plumage:
    """The colours of a bird: a gull by nature, an eagle when brown, else all of one colour."""
    if coat in (Coat.NATURAL, Coat.WHITE):
        return _GULL
    if coat is Coat.BROWN:
        return _EAGLE
    pelt = _COATS[coat]
    return Plumage(pelt.back, pelt.head, pelt.back, pelt.ear, pelt.back, (0.05, 0.045, 0.04))
