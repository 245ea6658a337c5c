"""Draw one frame of a scene and its exact mask.

Light is added up in linear float32 at twice the delivered size, then averaged, tone-mapped and given sensor
noise. The mask is the majority class of each 2 x 2 block at mid exposure: blur, shadow and reflections do not
touch it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from sample_data import textures as tx
from sample_data.classes import CORNEA, HAND, INSTRUMENT, IRIS, PUPIL, RETRACTORS, SKIN, TAPE
from sample_data.instruments import Patch, Pose, draw_instrument
from sample_data.scene import CANVAS_MARGIN, SUPERSAMPLING
from sample_data.surroundings import NOTHING, Layer

if TYPE_CHECKING:
    from sample_data.scene import Scene, Worker
    from sample_data.textures import Field

    Mask = npt.NDArray[np.uint8]
    Matrix = npt.NDArray[np.float64]

FRAMES_PER_S = 25
SHUTTER = 0.5
"""Share of the frame time during which the sensor collects light."""

FRONT_TO_BACK = (INSTRUMENT, HAND, RETRACTORS, TAPE, SKIN, PUPIL, IRIS, CORNEA)
"""Who wins a 2 x 2 block that is shared two and two."""


def render_frame(scene: Scene, frame_index: int) -> tuple[npt.NDArray[np.uint8], Mask]:
    """Draw a frame.

    Parameters
    ----------
    scene : Scene
        The cast.
    frame_index : int
        0-based, 25 frames a second.

    Returns
    -------
    frame : (H, W, 3) uint8 ndarray
        RGB.
    mask : (H, W) uint8 ndarray
        CaDIS task 1 class ids.
    """
    time_s = frame_index / FRAMES_PER_S
    picture, classes = _draw_eye(scene, time_s)
    head = (scene.head[0].at(time_s), scene.head[1].at(time_s))
    _lay(picture, classes, scene.surroundings, _shift_matrix(scene, head))
    # One blur for eye and lids, which lie at nearly one depth; instruments, held higher, keep their own.
    picture = tx.blur(picture, 0.8 + 1.5 * max(0.0, scene.light.focus.at(time_s)))
    patches = [_pose_and_draw(scene, worker, time_s) for worker in scene.workers]
    _cast_shadows(scene, picture, patches)
    for worker, patch in zip(scene.workers, patches, strict=True):
        if patch is not None:
            _lay_instrument(scene, worker, patch, time_s, picture, classes)
    _lay_hand(scene, time_s, picture, classes)
    frame = _expose(scene, picture, time_s, frame_index)
    return frame, majority(classes)


def majority(classes: Mask) -> Mask:
    """Reduce a class map by `SUPERSAMPLING` to the most frequent class of each block.

    Parameters
    ----------
    classes : (2 H, 2 W) uint8 ndarray
        Class ids 0 to 7.

    Returns
    -------
    (H, W) uint8 ndarray
        Of classes that share a block evenly, the one in front.
    """
    rows, cols = classes.shape[0] // SUPERSAMPLING, classes.shape[1] // SUPERSAMPLING
    corners = [
        classes[r::SUPERSAMPLING, c::SUPERSAMPLING]
        for r in range(SUPERSAMPLING)
        for c in range(SUPERSAMPLING)
    ]
    best, votes = np.zeros((rows, cols), np.uint8), np.zeros((rows, cols), np.uint8)
    for class_id in FRONT_TO_BACK:
        count = np.zeros((rows, cols), np.uint8)
        for corner in corners:
            count += corner == class_id
        best[count > votes] = class_id
        np.maximum(votes, count, out=votes)
    return best


def _warp(image: Field, matrix: Matrix, shape: tuple[int, int]) -> Field:
    """Map a picture to the frame; `matrix` maps its coordinates to the frame's. Empty outside."""
    return np.asarray(cv2.warpAffine(image, matrix, shape[::-1], flags=cv2.INTER_LINEAR), np.float32)


def _warp_classes(classes: Mask, matrix: Matrix, shape: tuple[int, int]) -> Mask:
    """Map a class map to the frame, each pixel taking the nearest class; NOTHING outside."""
    flags, outside = cv2.INTER_NEAREST, (NOTHING,)
    warped = cv2.warpAffine(classes, matrix, shape[::-1], flags=flags, borderValue=outside)
    return np.asarray(warped, np.uint8)


def _shift_matrix(scene: Scene, shift: tuple[float, float], turn: float = 0.0) -> Matrix:
    """Canvas to frame: turn about the canvas' middle, then move by fractions of the frame height."""
    rows, cols = scene.surroundings.classes.shape
    matrix = np.asarray(cv2.getRotationMatrix2D((cols / 2, rows / 2), np.degrees(turn), 1.0), np.float64)
    margin = round(CANVAS_MARGIN * scene.scale_px)
    matrix[:, 2] += np.array(shift) * scene.scale_px - margin
    return matrix


def _eye_matrix(scene: Scene, time_s: float) -> Matrix:
    return _shift_matrix(scene, scene.gaze.shift(time_s), scene.gaze.torsion.at(time_s))


def _eye_center(scene: Scene, time_s: float) -> npt.NDArray[np.float64]:
    """Centre of the iris in the frame, (x, y) pixels."""
    return np.asarray(_eye_matrix(scene, time_s) @ np.array([*scene.eye.center_px, 1.0]), np.float64)


def _draw_eye(scene: Scene, time_s: float) -> tuple[Field, Mask]:
    """Draw the eyeball with its lens, red reflex, gloss and glints; and its classes."""
    matrix = _eye_matrix(scene, time_s)
    warped = _warp(scene.eye.picture, matrix, scene.shape)
    classes = _warp_classes(scene.eye.classes, matrix, scene.shape)
    picture, share = np.ascontiguousarray(warped[..., :3]), warped[..., 3]
    right, down = scene.gaze.shift(time_s)
    # The reflex fades as the eye turns away from the lamp's axis.
    glow = 1 + scene.light.reflex.at(time_s) - 6 * float(np.hypot(right, down))
    picture *= (1 + (max(glow, 0.4) - 1) * share)[..., None]
    center = _eye_center(scene, time_s)
    _lay_lens(scene, time_s, center, picture, share)
    _add_gloss(scene, matrix, center, picture)
    return picture, classes


def _lay_lens(
    scene: Scene, time_s: float, center: npt.NDArray[np.float64], picture: Field, share: Field
) -> None:
    """Turn the cataract within the pupil."""
    size = scene.eye.lens.shape[0]
    sway = 0.10 * scene.eye.pupil_px * scene.lens_turn.at(time_s * 1.3)
    turn = np.degrees(scene.lens_turn.at(time_s))
    matrix = np.asarray(cv2.getRotationMatrix2D((size / 2, size / 2), turn, 1.0), np.float64)
    matrix[:, 2] += center - size / 2 + np.array([sway, -0.6 * sway])
    box = _box_around(center, 1.1 * scene.eye.pupil_px + 2, scene.shape)
    matrix[:, 2] -= (box[1].start, box[0].start)
    lens = _warp(scene.eye.lens, matrix, picture[box].shape[:2]) * share[box][..., None]
    picture[box] = picture[box] * (1 - lens[..., 3:]) + lens[..., :3]


def _box_around(center: npt.NDArray[np.float64], reach: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Square box round a point (x, y), cut to the frame."""
    low, high = np.floor(center - reach).astype(int), np.ceil(center + reach).astype(int)
    rows, cols = (slice(max(low[k], 0), min(max(high[k], 1), shape[1 - k])) for k in (1, 0))
    return rows, cols


def _add_gloss(scene: Scene, matrix: Matrix, center: npt.NDArray[np.float64], picture: Field) -> None:
    """Add the lamp's images on the cornea, a veil of light, and glints of the wet sclera, in place."""
    light, radius = scene.light, scene.eye.iris_px
    bumps = _warp(scene.eye.bumps, matrix, scene.shape)
    wet = tx.smoothstep(2.7, 4.3, bumps + 1.15 * light.lamp_bumps)
    box, x, y = _disk_coordinates(center, radius, 1.05, scene.shape)
    # The cornea is smooth: no glints on it but the lamp's own images and a faint veil.
    wet[box] *= tx.smoothstep(0.96, 1.08, x * x + y * y)
    picture += (1.1 * wet)[..., None]
    picture[box] += (0.035 * np.exp(-((x + 0.25) ** 2 + (y + 0.35) ** 2) / 0.3))[..., None]
    # A convex mirror keeps its images near the lamp's axis: they lag behind the eye.
    lag = 0.45 * (np.array([scene.shape[1] / 2, scene.shape[0] / 2]) - center)
    for right, down, size in light.spots:
        spot = center + lag + radius * np.array([right, down])
        box, x, y = _disk_coordinates(spot, radius * float(size), 5.0, scene.shape)
        # A fourth power makes the square with round corners that a lamp's mirror shows.
        square = np.sqrt(np.sqrt((x * x) ** 2 + (y * y) ** 2)) + 0.10 * bumps[box]
        glow = 2.6 * tx.smoothstep(1.12, 0.86, square) + 0.16 * np.exp(-(x * x + y * y) / 4.5)
        picture[box] += glow[..., None]


def _disk_coordinates(
    center: npt.NDArray[np.float64], radius: float, reach: float, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], Field, Field]:
    """Box of `reach` radii round a point (x, y), and its pixels' (right, down) of the point in radii."""
    box = _box_around(center, reach * radius, shape)
    rows, cols = np.indices((box[0].stop - box[0].start, box[1].stop - box[1].start), np.float32)
    x = (cols + np.float32(box[1].start - center[0])) / np.float32(radius)
    y = (rows + np.float32(box[0].start - center[1])) / np.float32(radius)
    return box, x, y


def _lay(picture: Field, classes: Mask, layer: Layer, matrix: Matrix) -> None:
    """Lay a still layer over picture and classes, in place."""
    shape = (picture.shape[0], picture.shape[1])
    above = _warp(layer.picture, matrix, shape)
    picture *= 1 - above[..., 3:]
    picture += above[..., :3]
    over = _warp_classes(layer.classes, matrix, shape)
    np.copyto(classes, over, where=over != NOTHING)


def _pose(scene: Scene, worker: Worker, time_s: float) -> Pose:
    """Where a worker's instrument is: it pivots about its incision and is drawn back along its shaft."""
    center = _eye_center(scene, time_s)
    angle = worker.incision + scene.gaze.torsion.at(time_s)
    outward = np.array([np.cos(angle), np.sin(angle)])
    incision = center + 1.02 * scene.eye.iris_px * outward
    along, across = (stroke.at(time_s) for stroke in worker.stroke)
    tip = center + scene.eye.pupil_px * (
        0.75 * along * outward + across * np.array([-outward[1], outward[0]])
    )
    direction = (incision - tip) / np.linalg.norm(incision - tip)
    tip = tip + direction * 1.6 * scene.scale_px * (1 - worker.presence.at(time_s))
    opening = float(np.clip(0.5 + worker.opening.at(time_s), 0, 1))
    return Pose((float(tip[0]), float(tip[1])), (float(direction[0]), float(direction[1])), opening)


def _pose_and_draw(scene: Scene, worker: Worker, time_s: float) -> Patch | None:
    return draw_instrument(worker.tool, _pose(scene, worker, time_s), scene.shape, scene.scale_px)


def _cast_shadows(scene: Scene, picture: Field, patches: list[Patch | None]) -> None:
    """Darken what lies below the instruments: a close shadow and a wide one, at quarter size."""
    cover = np.zeros(scene.shape, np.float32)
    for patch in patches:
        if patch is not None:
            np.maximum(cover[patch.box], patch.picture[..., 3], out=cover[patch.box])
    if not cover.any():
        return
    small = np.asarray(cv2.resize(cover, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.float32)
    shadow = np.zeros_like(small)
    for reach, sigma, depth in ((0.7, 0.006, 0.34), (1.5, 0.016, 0.40)):
        move = np.array(scene.light.shadow) * reach * small.shape[0]
        matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]])
        moved = _warp(small, matrix, (small.shape[0], small.shape[1]))
        shadow += depth * tx.blur(moved, sigma * small.shape[0])
    full = np.asarray(cv2.resize(shadow, scene.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    picture *= (1 - full)[..., None]


def _lay_instrument(
    scene: Scene, worker: Worker, patch: Patch, time_s: float, picture: Field, classes: Mask
) -> None:
    """Lay an instrument over picture and classes, in place: veiled inside the eye, smeared by its motion."""
    half = 0.5 * SHUTTER / FRAMES_PER_S
    before, after = _pose(scene, worker, time_s - half), _pose(scene, worker, time_s + half)
    above = _smear(
        tx.blur(patch.picture, 0.7), after.tip_px[0] - before.tip_px[0], after.tip_px[1] - before.tip_px[1]
    )
    below = classes[patch.box]
    inside = tx.blur(((below == PUPIL) | (below == IRIS)).astype(np.float32), 3.0)[..., None] * 0.16
    view = picture[patch.box]
    opacity = above[..., 3:]
    color = above[..., :3] * (1 - inside) + view * opacity * inside
    view *= 1 - opacity
    view += color
    below[patch.solid] = INSTRUMENT


def _smear(image: Field, right: float, down: float) -> Field:
    """Average an image along a straight path of the given displacement in pixels."""
    length = float(np.hypot(right, down))
    if length < 1.0:
        return image
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for t in np.linspace(-0.5, 0.5, 4 * reach):
        kernel[round(reach + t * down), round(reach + t * right)] += 1
    return np.asarray(
        cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.float32
    )


def _lay_hand(scene: Scene, time_s: float, picture: Field, classes: Mask) -> None:
    """Lay the gloved fingers over the shaft of the first instrument, near the frame's edge, in place."""
    away = 1 - scene.hand_presence.at(time_s)
    if away >= 1:
        return
    angle = scene.workers[0].incision + scene.hand_sway[1].at(time_s)
    outward = np.array([np.cos(angle), np.sin(angle)])
    middle = np.array([scene.shape[1], scene.shape[0]]) / 2
    edge = min(middle[0] / max(abs(outward[0]), 1e-6), middle[1] / max(abs(outward[1]), 1e-6))
    reach = edge + scene.scale_px * (-0.27 + 0.5 * away + scene.hand_sway[0].at(time_s))
    size = scene.hand.classes.shape[0]
    # Fingers point up on their patch; turn them to point inwards.
    matrix = np.asarray(cv2.getRotationMatrix2D((size / 2, 0), 90 - np.degrees(angle), 1.0), np.float64)
    matrix[:, 2] += middle + reach * outward - (size / 2, 0)
    _lay(picture, classes, scene.hand, matrix)


def _expose(scene: Scene, picture: Field, time_s: float, frame_index: int) -> npt.NDArray[np.uint8]:
    """Light, bloom, averaging to the delivered size, tone curve, sensor noise."""
    light = scene.light
    picture *= (light.falloff * np.float32(1 + light.exposure.at(time_s)))[..., None]
    small = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
    small *= light.white
    excess = cv2.resize(np.clip(small - 0.8, 0, 2), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    bloom = tx.blur(np.asarray(excess, np.float32), 0.012 * scene.scale_px / 2)
    small += 0.25 * np.asarray(cv2.resize(bloom, (small.shape[1], small.shape[0])), np.float32)
    tone = _tone(small)
    # Cameras of microscopes sharpen: a thin halo round strong edges.
    tone += 0.25 * (tone - tx.blur(tone, 1.1))
    rng = np.random.default_rng([scene.seed, 977, frame_index])
    grain = rng.standard_normal(tone.shape, np.float32)
    tone += grain * (0.004 + 0.006 * np.sqrt(np.clip(tone, 0, 1)))
    return np.asarray(np.clip(tone * 255 + 0.5, 0, 255), np.uint8)


def _tone(light: Field) -> Field:
    """Camera curve: linear light to display values, with a shoulder instead of a hard clip."""
    x = np.clip(light, 0, None)
    bent = np.where(x < 0.6, x, 0.6 + 0.4 * np.tanh((x - 0.6) / 0.5))
    display = bent ** np.float32(1 / 2.2)
    return np.asarray(display + 0.10 * (display - 0.5) * display * (1 - display) * 4, np.float32)
