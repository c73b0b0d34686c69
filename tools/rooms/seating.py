"""Chairs, armchairs and sofas. Armchairs and two-seaters share one construction on purpose: that is where networks confuse them.

Every builder returns the object and its subtype. Seats face -y; the origin is on the floor under the seat's middle.
"""

from __future__ import annotations

import itertools
import math
from random import Random

import bpy

from tools.rooms.materials import Surfaces
from tools.rooms.mesh import MeshBuilder

Made = tuple[bpy.types.Object, str]


def chair(random: Random, surfaces: Surfaces) -> Made:
    """A chair of any kind in VOC's sense: dining, shell, cantilever, office or an armchair (no stools)."""
    kind = random.choices([dining_chair, shell_chair, cantilever_chair, office_chair, armchair], [40, 14, 10, 18, 18])[0]
    return kind(random, surfaces)


def dining_chair(random: Random, surfaces: Surfaces) -> Made:
    """Four legs, a seat and a back: slats, ladder, spindles, solid or padded; sometimes arms."""
    r, mesh = random, MeshBuilder()
    frame = surfaces.wood() if r.random() < 0.65 else r.choice([surfaces.metal, surfaces.plastic])()
    padded = r.random() < 0.55
    pad = surfaces.upholstery() if padded else frame
    width, depth, seat, height = r.uniform(0.4, 0.52), r.uniform(0.4, 0.5), r.uniform(0.43, 0.48), r.uniform(0.78, 1.08)
    leg, lean = r.uniform(0.014, 0.024), r.uniform(0.02, 0.1)
    x, y = width / 2 - leg, depth / 2 - leg
    splay = r.uniform(0, 0.05)
    for side in (-1, 1):
        mesh.tube((side * (x + splay), -y - splay, 0), (side * x, -y, seat), leg * 0.7, frame, end_radius=leg)
        mesh.tube((side * (x + splay), y + splay, 0), (side * x, y, seat), leg * 0.7, frame, end_radius=leg)
        mesh.tube((side * x, y, seat), (side * x, y + lean, height), leg, frame, end_radius=leg * 0.8)
        if r.random() < 0.5:
            mesh.tube((side * x, -y, seat * 0.4), (side * x, y, seat * 0.4), leg * 0.6, frame)
    mesh.box((width, depth, 0.03), (0, 0, seat), frame, bevel=0.012)
    if padded:
        mesh.cushion((width * 0.95, depth * 0.95, 0.07), (0, 0, seat + 0.04), pad, puff=0.35)
    style = r.choice(["ladder", "slats", "spindles", "solid", "padded"])
    _chair_back(mesh, r, style, frame, pad, width=2 * x, low=seat + 0.1, high=height, y=y, lean=lean)
    if r.random() < 0.2:
        _open_arms(mesh, frame, x=x, y=y, seat=seat, radius=leg * 0.9)
    return mesh.finish("chair"), "dining"


def _chair_back(
    mesh: MeshBuilder, r: Random, style: str, frame: bpy.types.Material, pad: bpy.types.Material, *,
    width: float, low: float, high: float, y: float, lean: float,
) -> None:  # fmt: skip
    def at(z: float) -> float:
        return y + lean * (z - low + 0.1) / (high - low + 0.1)

    tilt = -math.atan2(lean, high - low)
    if style in ("solid", "padded"):
        middle = (low + high) / 2
        if style == "solid":
            mesh.box((width, 0.018, high - low), (0, at(middle), middle), frame, bevel=0.008, tilt=(tilt, 0, 0))
        else:
            mesh.cushion(
                (width * 1.04, high - low, 0.07), (0, at(middle), middle), pad, puff=0.2, tilt=(math.pi / 2 + tilt, 0, 0)
            )
        return
    mesh.box((width, 0.02, r.uniform(0.05, 0.1)), (0, at(high - 0.03), high - 0.03), frame, bevel=0.008, tilt=(tilt, 0, 0))
    if style == "ladder":
        for k in range(r.randint(2, 4)):
            z = low + (high - low - 0.1) * (k + 0.3) / 4
            mesh.box((width, 0.015, 0.04), (0, at(z), z), frame, bevel=0.006, tilt=(tilt, 0, 0))
        return
    count = r.randint(3, 7)
    for k in range(count):
        x = width * ((k + 0.5) / count - 0.5)
        radius = 0.008 if style == "spindles" else 0.014
        mesh.tube((x, at(low - 0.1), low - 0.1), (x, at(high - 0.04), high - 0.04), radius, frame)


def _open_arms(mesh: MeshBuilder, frame: bpy.types.Material, *, x: float, y: float, seat: float, radius: float) -> None:
    for side in (-1, 1):
        mesh.tube((side * x, -y * 0.7, seat), (side * (x + 0.02), -y * 0.8, seat + 0.2), radius, frame)
        mesh.tube((side * (x + 0.02), -y * 0.9, seat + 0.2), (side * x, y, seat + 0.23), radius, frame)


def shell_chair(random: Random, surfaces: Surfaces) -> Made:
    """A moulded one-piece shell on thin legs."""
    r, mesh = random, MeshBuilder()
    shell, legs = surfaces.plastic(), r.choice([surfaces.metal, surfaces.wood])()
    width, seat, rise = r.uniform(0.44, 0.6), r.uniform(0.42, 0.46), r.uniform(0.36, 0.46)
    wings = r.uniform(0.02, 0.16)

    def surface(u: float, v: float) -> tuple[float, float, float]:
        side = 2 * u - 1
        bend = max(0.0, (v - 0.45) / 0.55)
        y = -0.22 + 0.44 * min(v / 0.5, 1.0) + 0.1 * bend
        z = (
            seat
            + 0.03 * math.cos(math.pi * v) ** 2
            + rise * bend**1.2
            + wings * side**4 * (0.3 + math.sin(math.pi * min(v, 0.9)))
        )
        return width / 2 * side * (1 - 0.15 * bend**2), y - wings * 0.4 * side**2 * bend, z

    mesh.sheet(surface, shell, steps=(14, 18), thickness=0.012)
    for sx in (-1, 1):
        for sy in (-1, 1):
            mesh.tube((sx * 0.23, sy * 0.22, 0), (sx * 0.1, sy * 0.1, seat), 0.011, legs)
    return mesh.finish("chair"), "shell"


def cantilever_chair(random: Random, surfaces: Surfaces) -> Made:
    """A bent tube frame without back legs."""
    r, mesh = random, MeshBuilder()
    steel, pad = surfaces.metal(), surfaces.upholstery()
    x, seat, height, radius = r.uniform(0.2, 0.25), r.uniform(0.43, 0.47), r.uniform(0.8, 0.98), 0.012
    for side in (-1, 1):
        points = [
            (side * x, 0.22, 0.015),
            (side * x, -0.22, 0.015),
            (side * x, -0.22, seat),
            (side * x, 0.2, seat),
            (side * x, 0.27, height),
        ]
        for a, b in itertools.pairwise(points):
            mesh.tube(a, b, radius, steel)
    mesh.tube((-x, 0.22, 0.015), (x, 0.22, 0.015), radius, steel)
    mesh.cushion((2 * x, 0.42, 0.06), (0, -0.01, seat + 0.02), pad)
    mesh.cushion((2 * x, 0.3, 0.05), (0, 0.24, height - 0.16), pad, tilt=(math.pi / 2 - 0.15, 0, 0))
    return mesh.finish("chair"), "cantilever"


def office_chair(random: Random, surfaces: Surfaces) -> Made:
    """Five-star base on casters, column, seat and a curved back; mostly with arms."""
    r, mesh = random, MeshBuilder()
    base = r.choice([surfaces.metal(), surfaces.plain((0.02, 0.02, 0.02))])
    black = surfaces.plain((0.015, 0.015, 0.015), roughness=0.4)
    pad = surfaces.upholstery()
    seat, height, turn = r.uniform(0.44, 0.55), r.uniform(0.9, 1.25), r.uniform(0, 1.2)
    for k in range(5):
        a = turn + 2 * math.pi * k / 5
        end = (0.31 * math.cos(a), 0.31 * math.sin(a), 0.07)
        mesh.tube((0, 0, 0.12), end, 0.03, base, end_radius=0.016)
        mesh.blob((0.03, 0.03, 0.03), (end[0], end[1], 0.03), black)
    mesh.tube((0, 0, 0.1), (0, 0, seat - 0.04), 0.028, base)
    mesh.cushion((0.5, 0.48, 0.1), (0, 0, seat), pad, puff=0.3)
    middle = (seat + 0.12 + height) / 2
    mesh.tube((0, 0.18, seat), (0, 0.27, middle), 0.025, black)
    mesh.cushion((0.46, height - seat - 0.12, 0.09), (0, 0.27, middle), pad, puff=0.25, tilt=(math.pi / 2 - 0.12, 0, 0))
    if r.random() < 0.35:
        mesh.cushion((0.26, 0.16, 0.07), (0, 0.32, height + 0.1), pad, tilt=(math.pi / 2 - 0.1, 0, 0))
    if r.random() < 0.7:
        for side in (-1, 1):
            mesh.tube((side * 0.27, 0.05, seat), (side * 0.28, 0.05, seat + 0.2), 0.016, black)
            mesh.box((0.07, 0.26, 0.03), (side * 0.28, 0.0, seat + 0.22), black, bevel=0.012)
    return mesh.finish("chair"), "office"


def armchair(random: Random, surfaces: Surfaces) -> Made:
    """An upholstered chair for one, built like the sofas."""
    made = _upholstered(random, surfaces, seats=1, seat_width=random.uniform(0.5, 0.62), chaise=False)
    made.name = "chair"
    return made, "armchair"


def sofa(random: Random, surfaces: Surfaces) -> Made:
    """A sofa of two to four seats, some with a chaise (L-shape). The narrowest two-seaters approach a wide armchair."""
    seats = random.choices([2, 3, 4], [45, 40, 15])[0]
    chaise = seats > 2 and random.random() < 0.3
    width = random.uniform(0.5, 0.75)
    made = _upholstered(random, surfaces, seats=seats, seat_width=width, chaise=chaise)
    made.name = "sofa"
    return made, "l-shape" if chaise else f"{seats}-seat"


def _upholstered(r: Random, surfaces: Surfaces, *, seats: int, seat_width: float, chaise: bool) -> bpy.types.Object:
    mesh, cover = MeshBuilder(), surfaces.upholstery()
    legs = r.choice([surfaces.wood, surfaces.metal])()
    depth, seat, back = r.uniform(0.72, 0.95), r.uniform(0.38, 0.46), r.uniform(0.7, 0.95)
    arm, leg = r.uniform(0.07, 0.24), r.uniform(0.0, 0.16)
    arm_height, inner = seat + r.uniform(0.1, 0.24), seats * seat_width
    full = inner + 2 * arm
    style = r.choice(["box", "round", "soft"])
    mesh.box((inner, depth - 0.03, seat - 0.14 - leg), (0, 0, leg + (seat - 0.14 - leg) / 2), cover, bevel=0.03)
    for side in (-1, 1):
        center, size = (side * (inner + arm) / 2, 0, (leg + arm_height) / 2), (arm, depth, arm_height - leg)
        if style == "soft":
            mesh.cushion((size[0] * 1.1, size[1], size[2]), center, cover, puff=0.1)
        else:
            mesh.box(size, center, cover, bevel=0.02 if style == "box" else arm * 0.4)
        if style == "round":
            x = side * (inner + arm * 1.1) / 2
            mesh.tube((x, -depth / 2, arm_height), (x, depth / 2, arm_height), arm * 0.55, cover)
        for y in (-1, 1):
            if leg > 0.02:
                mesh.tube(
                    (side * (full / 2 - 0.08), y * (depth / 2 - 0.08), 0),
                    (side * (full / 2 - 0.08), y * (depth / 2 - 0.08), leg + 0.02),
                    0.018,
                    legs,
                )
    mesh.box(
        (full if style != "round" else inner, 0.18, back - leg - 0.05),
        (0, depth / 2 - 0.09, (back + leg - 0.05) / 2),
        cover,
        bevel=0.05,
    )
    puff, split = r.uniform(0.08, 0.3), seats if r.random() < 0.8 else 1
    second = surfaces.upholstery() if r.random() < 0.08 else cover
    for k in range(split):
        x = inner * ((k + 0.5) / split - 0.5)
        mesh.cushion((inner / split * 0.99, depth - 0.2, 0.18), (x, -0.1, seat - 0.06), second, puff=puff)
        lift = (back - seat) / 2 + seat + 0.02
        mesh.cushion(
            (inner / split * 0.97, back - seat + 0.04, 0.2),
            (x, depth / 2 - 0.24, lift),
            second,
            puff=puff,
            tilt=(math.pi / 2 - 0.18, 0, 0),
        )
    if chaise:
        side = r.choice([-1, 1])
        long, x = r.uniform(0.6, 0.9), side * (inner / 2 - seat_width / 2)
        mesh.box(
            (seat_width, long, seat - 0.14 - leg), (x, -depth / 2 - long / 2, leg + (seat - 0.14 - leg) / 2), cover, bevel=0.03
        )
        mesh.cushion((seat_width, long + 0.05, 0.18), (x, -depth / 2 - long / 2, seat - 0.06), second, puff=puff)
    for _ in range(r.choices([0, 1, 2, 3], [5, 2, 2, 1])[0]):
        x, size = r.uniform(-inner / 2 + 0.2, inner / 2 - 0.2) if inner > 0.5 else 0.0, r.uniform(0.32, 0.46)
        tilt = (math.pi / 2 - r.uniform(0.2, 0.6), 0, r.uniform(-0.4, 0.4))
        mesh.cushion((size, size, 0.16), (x, depth / 2 - 0.4, seat + size / 2), surfaces.fabric(), puff=0.7, tilt=tilt)
    return mesh.finish("seat")
