"""Four-legged animals: the pose that follows from a build, a coat, a gait and the time.

The body runs towards +x with the ground at y = 0. During its stance a foot moves back exactly as fast as the
body moves on, so that it stands still on the ground.
"""

from __future__ import annotations

import math

import numpy as np

from fairstack_local.scene.body import Capsule, Point
from fairstack_local.scene.coats import Pelt
from fairstack_local.scene.gaits import STANCE, Build, Gait, scale_of
from fairstack_local.scene.vectors import Vec

_TAIL_JOINTS = 7


def pose(build: Build, pelt: Pelt, gait: Gait, seconds: float) -> list[Capsule]:
    """The animal's capsules at this time, standing at the origin and heading for +x."""
    cycle = seconds / gait.cycle_seconds
    return _Posing(build, pelt, gait, cycle, seconds).capsules()


class _Posing:
    """One pose being put together."""

    def __init__(self, build: Build, pelt: Pelt, gait: Gait, cycle: float, seconds: float) -> None:
        self.build, self.pelt, self.gait, self.cycle, self.seconds = build, pelt, gait, cycle, seconds
        self.scale = scale_of(build)
        bob = gait.bob * self.scale * math.cos(4 * math.pi * (cycle - 0.90))
        pitch = gait.pitch * math.cos(2 * math.pi * (cycle - 0.20))
        self.arch = -gait.flex * math.cos(2 * math.pi * (cycle - 0.40))
        height, half = build.withers, build.trunk / 2
        squeeze = 1.0 - 0.07 * max(self.arch, 0.0) + 0.04 * max(-self.arch, 0.0)
        self.pelvis = _at(-half * squeeze, 0.815 * height + bob - pitch * half)
        self.shoulders = _at(half * squeeze, 0.785 * height + bob + pitch * half)
        self.back = (self.pelvis + self.shoulders) / 2 + _at(0, 0.012 * height + 0.052 * height * self.arch)
        self.tilt = 0.26 * self.arch
        self.parts: list[Capsule] = []

    def capsules(self) -> list[Capsule]:
        self._trunk()
        head = self._neck_and_head()
        self._face(head)
        self._tail()
        for side, phases in ((1, 1), (-1, 0)):
            self._hind_leg(side * 0.42 * self.build.rump, self.gait.hind_phases[phases])
            self._fore_leg(side * 0.52 * self.build.chest, self.gait.fore_phases[phases])
        return self.parts

    def _add(self, a: Point, b: Point, ra: float, rb: float, colour: Vec, **more: float | bool) -> None:
        self.parts.append(Capsule(a, b, ra, rb, colour, **more))  # type: ignore[arg-type]

    def _trunk(self) -> None:
        b, p, h = self.build, self.pelt, self.build.withers
        body = {"fur": b.fur, "squash": b.girth_squash, "blend": 0.20 * h}
        chest = self.shoulders + _at(-0.02 * h, -0.02 * h)
        ribs = self.back + _at(0.10 * h, -0.045 * h)
        loin = self.back + _at(-0.13 * h, 0.0)
        rump = self.pelvis + _at(0.03 * h, -0.005 * h)
        self._add(ribs, chest, b.chest * 0.97, b.chest, p.back, **body)
        self._add(loin, ribs, b.waist, b.chest * 0.97, p.back, **body)
        self._add(rump, loin, b.rump, b.waist, p.back, **body)
        # The keel of the chest and the belly line, with their longer, paler hair.
        below = {"fur": b.feathers * 0.6, "squash": b.girth_squash * 1.25, "blend": 0.14 * h}
        keel = chest + _at(0.07 * h, -0.11 * h)
        self._add(keel, ribs + _at(0, -0.115 * h), b.chest * 0.62, b.chest * 0.55, p.belly, **below)
        self._add(
            ribs + _at(0, -0.10 * h),
            loin + _at(0, -0.03 * h),
            b.chest * 0.58,
            b.waist * 0.75,
            p.belly,
            **below,
        )
        self.chest, self.rump = chest, rump

    def _neck_and_head(self) -> Point:
        b, p, h = self.build, self.pelt, self.build.withers
        nod = 0.05 * self.gait.flex * math.sin(2 * math.pi * (self.cycle - 0.1))
        breath = 0.015 * math.sin(2 * math.pi * self.seconds / 3.1)
        lift = b.neck_lift + nod + breath + (0.32 if self.gait is STANCE else 0.0)
        root = self.chest + _at(0.06 * h, 0.05 * h)
        head = root + _turned(b.neck, lift)
        self._add(
            root,
            head,
            b.neck_radius * 1.25,
            b.neck_radius,
            p.back,
            fur=b.fur * 1.3,
            blend=0.15 * h,
            squash=1.12,
        )
        ruff = self.chest + _at(0.10 * h, -0.07 * h)
        self._add(
            head * 0.5 + root * 0.5 + _at(0.01, -0.03 * h),
            ruff,
            b.neck_radius * 0.85,
            b.chest * 0.55,
            p.belly,
            fur=b.feathers * 0.8,
            blend=0.12 * h,
            squash=1.15,
        )
        self.look = lift * 0.25 - 0.30 + (0.06 if self.gait is STANCE else 0.0)
        return head + _turned(b.skull * 0.55, lift)

    def _face(self, head: Point) -> None:
        b, p, r = self.build, self.pelt, self.build.skull
        ahead, up = _turned(1.0, self.look), _turned(1.0, self.look + math.pi / 2)
        short = b.fur * 0.45
        self._add(
            head - ahead * r * 0.25, head + ahead * r * 0.30, r, r * 0.93, p.head, fur=short, blend=0.05
        )
        brow = head + ahead * r * 0.62 - up * r * 0.18
        nose = head + ahead * (r * 0.85 + b.muzzle) - up * r * 0.42
        m = b.muzzle_radius
        self._add(brow, nose, m * 1.28, m * 0.92, p.muzzle, fur=short * 0.5, blend=0.045, squash=1.1)
        self._add(
            nose + up * m * 0.45 + ahead * m * 0.55,
            nose + up * m * 0.40 + ahead * m * 0.62,
            m * 0.50,
            m * 0.46,
            p.nose,
            fur=0.0006,
            blend=0.006,
            sharp=True,
            gloss=0.5,
        )
        self._jaw(brow, nose, ahead, up)
        for side in (1.0, -1.0):
            self._eye(head, ahead, up, side)
            self._ear(head, ahead, up, side)

    def _jaw(self, brow: Point, nose: Point, ahead: Point, up: Point) -> None:
        b, p, m = self.build, self.pelt, self.build.muzzle_radius
        panting = 0.6 + 0.4 * math.sin(2 * math.pi * self.seconds / 0.36)
        gape = (0.70 if b.ears_hang else 0.22) * (0.75 + 0.25 * panting)
        hinge = brow - up * m * 0.75 + ahead * m * 0.1
        tip = hinge + _turned(b.muzzle * 0.86, self.look - 0.12 - gape * 0.55)
        self._add(hinge, tip, m * 0.62, m * 0.42, p.muzzle, fur=b.fur * 0.2, blend=0.018, squash=1.15)
        if b.ears_hang:
            tongue = tip + _turned(b.muzzle * 0.10, self.look - 0.9)
            self._add(
                hinge + (tip - hinge) * 0.35 + up * m * 0.30,
                tongue + up * m * 0.20,
                m * 0.36,
                m * 0.34,
                (0.62, 0.17, 0.17),
                fur=0.0006,
                blend=0.008,
                squash=0.75,
                sharp=True,
                gloss=0.25,
            )

    def _eye(self, head: Point, ahead: Point, up: Point, side: float) -> None:
        r = self.build.skull
        eye = head + ahead * r * 0.66 + up * r * 0.20 + _sideways(side * r * 0.66)
        self._add(
            eye,
            eye + ahead * 0.001,
            r * 0.175,
            r * 0.175,
            (0.018, 0.012, 0.010),
            fur=0.0004,
            blend=0.003,
            sharp=True,
            gloss=1.6,
        )

    def _ear(self, head: Point, ahead: Point, up: Point, side: float) -> None:
        b, p, r = self.build, self.pelt, self.build.skull
        flap = self.gait.flex * math.sin(2 * math.pi * (self.cycle - 0.62))
        if b.ears_hang:
            root = head - ahead * r * 0.22 + up * r * 0.52 + _sideways(side * r * 0.70)
            bend = root - ahead * r * 0.28 - up * r * 0.05 + _sideways(side * r * 0.34)
            sway = -1.10 + 0.62 * flap
            tip = (
                bend
                + _turned(b.ear, math.pi + self.look - sway - 0.35)
                + _sideways(side * r * (0.10 + 0.25 * flap))
            )
            self._add(root, bend, r * 0.34, r * 0.38, p.ear, fur=b.fur * 0.6, blend=0.02)
            self._add(bend, tip, r * 0.38, r * 0.33, p.ear, fur=b.fur * 0.9, blend=0.025, squash=1.9)
            return
        root = head - ahead * r * 0.30 + up * r * 0.62 + _sideways(side * r * 0.56)
        tip = root + up * b.ear - ahead * b.ear * (0.25 + 0.25 * abs(flap)) + _sideways(side * r * 0.16)
        self._add(root, tip, r * 0.40, r * 0.08, p.ear, fur=b.fur * 0.35, blend=0.02, squash=1.25)

    def _tail(self) -> None:
        b, p, h = self.build, self.pelt, self.build.withers
        at = self.rump + _at(-0.80 * b.rump, 0.40 * b.rump)
        angle, pace = math.pi - b.tail_lift, self.gait.cycle_seconds if self.gait.flex > 0.5 else 0.62
        for joint in range(_TAIL_JOINTS):
            wave = math.sin(2 * math.pi * (self.seconds / pace - 0.10 * joint - 0.2))
            angle += (0.07 + 0.02 * joint) * wave * min(self.gait.flex + 0.3, 1.0) + b.tail_curl
            to = at + _turned(b.tail / _TAIL_JOINTS, angle) + _sideways(0.012 * wave * joint * self.scale)
            start, end = joint / _TAIL_JOINTS, (joint + 1) / _TAIL_JOINTS
            colour = _between(p.back, p.tail_tip, min(start * 1.2, 1.0))
            self._add(at, to, self._brush(start), self._brush(end), colour, fur=b.tail_fur, blend=0.06 * h)
            at = to

    def _brush(self, share: float) -> float:
        """The tail's radius: thin at the root, full past the middle, pointed at the tip."""
        return (
            self.build.tail_radius
            * float(0.75 + 1.1 * math.sin(math.pi * share**1.2) ** 1.2)
            * (1.0 - 0.78 * share**3)
        )

    def _foot(self, phase: float, reach: tuple[float, float]) -> tuple[float, float, float]:
        """Where a foot is from its joint: forward, above ground, and how far it has swung (0: it stands)."""
        gait, forth, back = self.gait, reach[0] * self.scale, reach[1] * self.scale
        at = (self.cycle - phase) % 1.0
        if at < gait.duty or gait.duty >= 1.0:
            return forth + (back - forth) * at / gait.duty, 0.0, 0.0
        swing = (at - gait.duty) / (1.0 - gait.duty)
        # A Hermite curve that leaves and meets the ground at the ground's own speed.
        speed = (back - forth) / gait.duty * (1.0 - gait.duty) * 0.55
        s2, s3 = swing * swing, swing**3
        x = (2 * s3 - 3 * s2 + 1) * back + (s3 - 2 * s2 + swing) * speed
        x += (3 * s2 - 2 * s3) * forth + (s3 - s2) * speed
        return x, gait.lift * self.scale * math.sin(math.pi * swing) ** 1.3, swing

    def _hind_leg(self, side: float, phase: float) -> None:
        b, p, h = self.build, self.pelt, self.build.withers
        x, y, swing = self._foot(phase, self.gait.hind_reach)
        hip = self.pelvis + _at(0.015 * h, -0.10 * h)
        paw = _at(-b.trunk / 2 + x, y + b.paw * 0.92)
        stance = x / (0.27 * self.scale + 1e-6)
        lean = -0.50 - 0.28 * stance
        if swing > 0.0:
            lean += (
                1.25 * math.sin(math.pi * swing) ** 1.5 * (1 - 0.45 * swing) * min(1.0, self.gait.lift / 0.12)
            )
        heel = paw + _turned(b.hind[2], math.pi / 2 - lean)
        knee, heel = _bend(hip, heel, b.hind[0], b.hind[1], forward=True)
        paw = heel - _turned(b.hind[2], math.pi / 2 - lean)
        if swing == 0.0:
            paw[1] = b.paw * 0.92
        for bone, share in ((hip, 1.0), (knee, 1.12), (heel, 1.0), (paw, 0.95)):
            bone[2] = side * share
        feather = b.fur + (b.feathers - b.fur) * 0.45
        self._add(
            hip + _at(-0.01 * h, 0.05 * h),
            knee,
            b.thigh_radius * 1.12,
            b.leg_radius * 1.55,
            p.back,
            fur=feather,
            blend=0.11 * h,
            squash=1.45,
            open=_open(side),
        )
        self._add(
            knee,
            heel,
            b.leg_radius * 1.55,
            b.leg_radius * 0.92,
            p.leg,
            fur=b.fur * 0.9,
            blend=0.05 * h,
            open=_open(side),
        )
        self._add(
            heel,
            paw,
            b.leg_radius * 0.92,
            b.leg_radius * 0.86,
            p.leg,
            fur=b.fur * 0.5,
            blend=0.035 * h,
            open=_open(side),
        )
        self._paw(paw, swing, side)

    def _fore_leg(self, side: float, phase: float) -> None:
        b, p, h = self.build, self.pelt, self.build.withers
        x, y, swing = self._foot(phase, self.gait.fore_reach)
        # The shoulder blade glides on the ribs: the joint follows the foot a little.
        joint = self.shoulders + _at(0.02 * h + 0.24 * x, -0.16 * h)
        paw = _at(b.trunk / 2 + x, y + b.paw * 0.92)
        stance = x / (0.27 * self.scale + 1e-6)
        lean = 0.10 - 0.42 * stance
        if swing > 0.0:
            lean += (
                1.75 * math.sin(math.pi * swing) ** 1.4 * (1 - 0.55 * swing) * min(1.0, self.gait.lift / 0.12)
            )
        wrist = paw + _turned(b.fore[2], math.pi / 2 - lean)
        elbow, wrist = _bend(joint, wrist, b.fore[0], b.fore[1], forward=False)
        paw = wrist - _turned(b.fore[2], math.pi / 2 - lean)
        if swing == 0.0:
            paw[1] = b.paw * 0.92
        for bone, share in ((joint, 1.0), (elbow, 1.05), (wrist, 0.95), (paw, 0.9)):
            bone[2] = side * share
        self._add(
            joint + _at(-0.04 * h, 0.10 * h),
            elbow,
            b.thigh_radius * 0.86,
            b.leg_radius * 1.45,
            p.back,
            fur=b.fur,
            blend=0.10 * h,
            squash=1.5,
            open=_open(side),
        )
        self._add(
            elbow,
            wrist,
            b.leg_radius * 1.38,
            b.leg_radius * 0.98,
            p.leg,
            fur=b.fur + (b.feathers - b.fur) * 0.30,
            blend=0.05 * h,
            open=_open(side),
        )
        self._add(
            wrist,
            paw,
            b.leg_radius * 0.98,
            b.leg_radius * 0.90,
            p.leg,
            fur=b.fur * 0.5,
            blend=0.035 * h,
            open=_open(side),
        )
        self._paw(paw, swing, side)

    def _paw(self, paw: Point, swing: float, side: float) -> None:
        b, p = self.build, self.pelt
        droop = -1.15 * math.sin(math.pi * swing) * min(1.0, self.gait.lift / 0.12)
        toes = paw + _turned(b.paw * 1.25, droop) + _at(0, -0.05 * b.paw)
        self._add(
            paw,
            toes,
            b.paw * 1.0,
            b.paw * 0.92,
            p.paw,
            fur=b.fur * 0.35,
            blend=0.03,
            squash=0.92,
            open=_open(side),
        )


def _at(x: float, y: float) -> Point:
    return np.array([x, y, 0.0])


def _turned(length: float, angle: float) -> Point:
    """A stretch of this length, `angle` radians above +x."""
    return np.array([length * math.cos(angle), length * math.sin(angle), 0.0])


def _sideways(z: float) -> Point:
    return np.array([0.0, 0.0, z])


def _between(a: Vec, b: Vec, share: float) -> Vec:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


def _open(side: float) -> float:
    """The legs away from the camera stand in the body's shade."""
    return 0.55 if side > 0 else 1.0


def _bend(root: Point, end: Point, upper: float, lower: float, *, forward: bool) -> tuple[Point, Point]:
    """The middle joint of a two-bone limb, and its end, drawn back to where the limb can reach."""
    line = end - root
    distance = float(np.sqrt(line @ line))
    span = min(max(distance, abs(upper - lower) + 1e-3), (upper + lower) * 0.995)
    end = root + line * (span / max(distance, 1e-6))
    cosine = (upper * upper + span * span - lower * lower) / (2 * upper * span)
    angle = math.atan2(line[1], line[0]) + math.acos(max(-1.0, min(1.0, cosine))) * (1 if forward else -1)
    return root + _turned(upper, angle), end
