"""The measures of each four-legged animal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fairstack_local.plan.scene_plan import Subject
from fairstack_local.scene.gaits import Build

_DOG = Build(
    withers=0.58,
    trunk=0.50,
    chest=0.128,
    waist=0.101,
    rump=0.104,
    girth_squash=1.18,
    neck=0.205,
    neck_lift=0.66,
    neck_radius=0.078,
    skull=0.076,
    muzzle=0.088,
    muzzle_radius=0.042,
    ear=0.078,
    ears_hang=True,
    fore=(0.150, 0.170, 0.095),
    hind=(0.175, 0.180, 0.135),
    leg_radius=0.029,
    thigh_radius=0.086,
    paw=0.029,
    tail=0.42,
    tail_radius=0.018,
    tail_lift=0.42,
    tail_curl=0.02,
    tail_fur=0.030,
    fur=0.018,
    feathers=0.040,
)

_WOLF = replace(
    _DOG,
    withers=0.66,
    trunk=0.555,
    chest=0.132,
    waist=0.100,
    rump=0.106,
    girth_squash=1.28,
    neck=0.225,
    neck_lift=0.42,
    neck_radius=0.088,
    skull=0.080,
    muzzle=0.108,
    muzzle_radius=0.039,
    ear=0.082,
    ears_hang=False,
    fore=(0.172, 0.200, 0.108),
    hind=(0.200, 0.206, 0.155),
    leg_radius=0.028,
    thigh_radius=0.088,
    tail=0.42,
    tail_radius=0.030,
    tail_lift=-0.15,
    tail_curl=0.05,
    tail_fur=0.038,
    fur=0.026,
    feathers=0.040,
)

_FOX = replace(
    _DOG,
    withers=0.38,
    trunk=0.360,
    chest=0.072,
    waist=0.060,
    rump=0.064,
    girth_squash=1.18,
    neck=0.135,
    neck_lift=0.48,
    neck_radius=0.052,
    skull=0.055,
    muzzle=0.070,
    muzzle_radius=0.023,
    ear=0.076,
    ears_hang=False,
    fore=(0.100, 0.118, 0.064),
    hind=(0.122, 0.126, 0.092),
    leg_radius=0.0165,
    thigh_radius=0.052,
    paw=0.018,
    tail=0.40,
    tail_radius=0.034,
    tail_lift=0.05,
    tail_curl=0.03,
    tail_fur=0.040,
    fur=0.019,
    feathers=0.026,
)

BUILDS: Mapping[Subject, Build] = {
    Subject.DOG: _DOG,
    Subject.WOLF: _WOLF,
    Subject.FOX: _FOX,
}
