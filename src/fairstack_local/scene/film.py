"""A scene from prompt to frames: the plan, the baked world, then one shot after the other."""

from __future__ import annotations

import math

import numpy as np

from fairstack_local.encode import Mp4Writer
from fairstack_local.kernels import Bands
from fairstack_local.orders import OnProgress, RenderOrder, RenderReport
from fairstack_local.plan.read_prompt import plan_scene
from fairstack_local.plan.scene_plan import ScenePlan
from fairstack_local.scene.body import Packed, mirrored_in_ground
from fairstack_local.scene.camera import Eye, eye_at, view_angles
from fairstack_local.scene.cast import Cast, cast_of
from fairstack_local.scene.develop import Frame, develop, film_curve
from fairstack_local.scene.falling import falling_in
from fairstack_local.scene.grounds import Ground, ground_of
from fairstack_local.scene.light import light_of
from fairstack_local.scene.noise import tiling_volume
from fairstack_local.scene.pelt import draw_body
from fairstack_local.scene.relief import RIDGES
from fairstack_local.scene.shadow import cast_shadow, no_shadow
from fairstack_local.scene.shot import Shot
from fairstack_local.scene.sky import bake_backdrop

_GRAIN_CELLS = 64
_SKY_PIXEL = 1.5
"""Pixels of the picture to one of the baked sky, which is soft."""
_DRIFT_PER_SECOND = math.radians(0.16)


def film_scene(order: RenderOrder, clip: Mp4Writer, on_progress: OnProgress) -> RenderReport:
    """Render every frame of the order into the clip."""
    planned = plan_scene(order.prompt)
    studio = Studio(planned.plan, order.width, order.height, order.duration_seconds, order.seed)
    try:
        for frame in range(order.frames):
            clip.write(studio.picture(frame, order.frames))
            on_progress(frame + 1, order.frames)
    finally:
        studio.close()
    return RenderReport(order.frames, planned.substitutions, planned.plan.to_json())


class Studio:
    """One scene with its world baked, ready to be filmed frame by frame in any order."""

    def __init__(self, plan: ScenePlan, width: int, height: int, duration_seconds: float, seed: int) -> None:
        self._plan, self._seconds = plan, duration_seconds
        self._bands = Bands()
        self._angles = view_angles(width, height)
        small = seed % 100_003
        self._ground: Ground = ground_of(plan.place, small)
        self._cast: Cast = cast_of(plan, self._ground)
        facing = self._cast.framing.azimuth
        self._light = light_of(plan.hour, plan.weather, facing)
        pixel = 2.0 * self._angles[1] / height * _SKY_PIXEL
        self._backdrop = bake_backdrop(
            self._light, RIDGES[plan.place], facing, self._angles, pixel, small, self._bands
        )
        self._grain = tiling_volume(_GRAIN_CELLS, seed)
        self._falling = falling_in(plan.weather, seed)
        self._curve = film_curve()
        self._linear = np.zeros((height, width, 3), np.float32)
        self._body = np.zeros((height, width, 5), np.float32)
        self._upside_down = np.zeros((max(1, height // 2), max(1, width // 2), 5), np.float32)
        self._frame = np.zeros((height, width, 3), np.uint8)

    def picture(self, frame: int, frames: int) -> Frame:
        """Frame number `frame` of `frames`, RGB; the array is used again by the next call."""
        share = frame / (frames - 1)
        seconds = share * self._seconds * self._plan.time_scale
        place = self._cast.place(seconds, self._seconds * self._plan.time_scale)
        body = self._cast.body(seconds, place)
        eye = eye_at(self._cast.framing, self._plan.move, share, self._cast.followed(place), self._angles)
        shot = self._shot(body, eye, seconds)
        self._ground.draw(self._linear, shot, self._bands)
        if self._falling is not None:
            self._falling.draw(self._linear, self._light, seconds)
        develop(self._linear, self._frame, self._curve, self._light.exposure, frame, self._bands)
        return self._frame

    def close(self) -> None:
        """End the threads."""
        self._bands.close()

    def _shot(self, body: Packed, eye: Eye, seconds: float) -> Shot:
        draw_body(self._body, body, eye, self._light, self._grain, self._bands)
        if self._ground.mirrors and len(body):
            draw_body(self._upside_down, mirrored_in_ground(body), eye, self._light, self._grain, self._bands)
        on_ground = self._cast.grounded and len(body) > 0
        return Shot(
            eye=eye,
            light=self._light,
            backdrop=self._backdrop,
            body=self._body,
            reflection=self._upside_down,
            shadow=cast_shadow(body, self._light.sun, self._bands) if on_ground else no_shadow(),
            seconds=seconds,
            drift=_DRIFT_PER_SECOND * seconds,
        )
