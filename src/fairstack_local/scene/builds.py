"""The measures of each four-legged animal."""

from __future__ import annotations

from collections.abc import Mapping

from fairstack_local.plan.scene_plan import Subject
from fairstack_local.scene.quadruped import Build

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

BUILDS: Mapping[Subject, Build] = {Subject.DOG: _DOG}
