"""A photograph from words to frames: its layers, the camera's path, one view after the other."""

from __future__ import annotations

import math

import numpy as np

from fairstack_local.encode import Mp4Writer
from fairstack_local.kernels import Bands
from fairstack_local.orders import OnProgress, RenderOrder, RenderReport
from fairstack_local.parallax.layers import Layers, layers_of, open_photo
from fairstack_local.parallax.renderer import View, draw_photo
from fairstack_local.plan.photo_plan import PhotoPlan, plan_photo

_REST_ZOOM = 1.03


def film_photograph(order: RenderOrder, clip: Mp4Writer, on_progress: OnProgress) -> RenderReport:
    """Render every frame of the order into the clip."""
    assert order.image_path is not None
    planned = plan_photo(order.prompt)
    layers = layers_of(open_photo(order.image_path), order.width, order.height)
    bands = Bands()
    frame = np.zeros((order.height, order.width, 3), np.uint8)
    start = 100.0 * np.random.default_rng(order.seed).random()
    try:
        for number in range(order.frames):
            share = number / (order.frames - 1)
            seconds = share * order.duration_seconds
            view = view_at(planned.plan, share, seconds, start, (order.width, order.height))
            view = holding_head(view, layers, order.width)
            bands.run(draw_photo, order.height, frame, layers, view)
            clip.write(frame)
            on_progress(number + 1, order.frames)
    finally:
        bands.close()
    return RenderReport(order.frames, planned.substitutions, planned.plan.to_json())


def view_at(plan: PhotoPlan, share: float, seconds: float, start: float, size: tuple[int, int]) -> View:
    """The camera when `share` (0 to 1) of the clip has passed; `start` sets the phase of wind and hand."""
    width, height = size
    ease = share * share * (3.0 - 2.0 * share)
    half = 2.0 * ease - 1.0
    zoom_in = ease if plan.zoom >= 0 else 1.0 - ease
    amount = min(abs(plan.zoom), 1.6)
    hand = plan.handheld * min(size) / 720
    clock = seconds + start
    sway_x = hand * (3.2 * math.sin(clock * 5.1) + 1.5 * math.sin(clock * 11.3))
    sway_y = hand * (3.0 * math.cos(clock * 4.3) + 1.2 * math.sin(clock * 9.7))
    # Turning towards a side shifts the picture the other way, further than the rest zoom leaves a border.
    turning = min(abs(plan.pan) + abs(plan.tilt), 1.0) * 0.07
    return View(
        zoom=_REST_ZOOM + turning + 0.15 * amount * zoom_in,
        dolly=0.16 * amount * zoom_in,
        shift_x=-plan.pan * half * 0.060 * width + sway_x,
        shift_y=plan.tilt * half * 0.060 * height + sway_y,
        swing_x=(plan.orbit * half * 0.085 - plan.pan * half * 0.03) * min(size),
        swing_y=plan.tilt * half * 0.03 * min(size),
        roll=plan.handheld * 0.0022 * math.sin(clock * 3.1),
        seconds=clock,
        wind=plan.wind,
        water=plan.water,
        drift=plan.clouds * seconds * 0.0065 * width,
    )


def holding_head(view: View, layers: Layers, width: int) -> View:
    """The same view, shifted back as far as it takes to keep the head inside the frame."""
    pivot_x, pivot_y = layers.focus_x - layers.margin_x, layers.focus_y - layers.margin_y
    left, right, top = (
        pivot + (edge - pivot) * view.zoom
        for pivot, edge in (
            (pivot_x, layers.head_left),
            (pivot_x, layers.head_right),
            (pivot_y, layers.head_top),
        )
    )
    shift_x, shift_y = view.shift_x, max(view.shift_y, -top)
    if right - left <= width:
        shift_x = min(max(shift_x, -left), width - right)
    return view._replace(shift_x=shift_x, shift_y=shift_y)
