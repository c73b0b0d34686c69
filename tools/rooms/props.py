"""Potted plants, television sets and bottles (VOC classes), and the clutter between them (background)."""

from __future__ import annotations

import math
from random import Random

import bpy
from mathutils import Vector

from tools.rooms.materials import Surfaces
from tools.rooms.mesh import MeshBuilder


def potted_plant(random: Random, surfaces: Surfaces, *, size: float) -> tuple[bpy.types.Object, str]:
    """A pot with leaves: broad-leaved, grass-like, bushy or a small tree; ``size`` is the height in metres."""
    r, mesh = random, MeshBuilder()
    pot_height = size * r.uniform(0.22, 0.36)
    radius = pot_height * r.uniform(0.4, 0.6)
    ceramic = surfaces.plain(surfaces.color(saturation=(0, 0.8), value=(0.15, 0.95)), roughness=r.uniform(0.15, 0.9))
    mesh.lathe(
        [
            (radius * r.uniform(0.6, 0.9), 0),
            (radius, pot_height * 0.9),
            (radius * 1.07, pot_height * 0.92),
            (radius * 1.07, pot_height),
        ],
        (0, 0, 0),
        ceramic,
    )
    leaf = surfaces.leaf()
    kind = r.choice(["broad", "grass", "bush", "tree"])
    room = size - pot_height
    if kind == "bush":
        for _ in range(r.randint(6, 14)):
            a, d = r.uniform(0, 2 * math.pi), room * r.uniform(0, 0.3)
            center = (d * math.cos(a), d * math.sin(a), pot_height + room * r.uniform(0.15, 0.75))
            mesh.blob((room * 0.2,) * 3, center, leaf, rough=lambda _: r.uniform(0.75, 1.25))
    elif kind == "tree":
        stem = surfaces.wood()
        mesh.tube((0, 0, pot_height * 0.8), (r.uniform(-0.03, 0.03), 0, size * 0.75), size * 0.015, stem)
        for _ in range(r.randint(40, 80)):
            _leaf(
                mesh,
                r,
                leaf,
                (0, 0, size * r.uniform(0.55, 0.8)),
                length=room * r.uniform(0.2, 0.38),
                width=0.35,
                rise=(-0.3, 0.9),
            )
    else:
        grass = kind == "grass"
        for _ in range(r.randint(25, 45) if grass else r.randint(12, 28)):
            _leaf(
                mesh,
                r,
                leaf,
                (0, 0, pot_height),
                length=room * r.uniform(0.6, 1.05),
                width=0.06 if grass else r.uniform(0.2, 0.34),
                rise=(0.6, 1.35),
            )
    return mesh.finish("pottedplant"), kind


def _leaf(
    mesh: MeshBuilder,
    r: Random,
    material: bpy.types.Material,
    root: tuple[float, float, float],
    *,
    length: float,
    width: float,
    rise: tuple[float, float],
) -> None:
    heading, pitch, droop = r.uniform(0, 2 * math.pi), r.uniform(*rise), r.uniform(0.3, 1.1)
    out, side = Vector((math.cos(heading), math.sin(heading), 0)), Vector((-math.sin(heading), math.cos(heading), 0))

    def surface(u: float, v: float) -> tuple[float, float, float]:
        # The midrib is a parabola that starts at the pitch angle and droops; the blade is widest at 45 % of its length.
        along = length * v
        ridge = (
            Vector(root)
            + out * along * math.cos(pitch)
            + Vector((0, 0, along * math.sin(pitch) - droop * along**2 / length * 0.6))
        )
        blade = length * width * 0.5 * math.sin(math.pi * min(1.0, 0.04 + v * 0.96)) ** 0.8
        return tuple(ridge + side * blade * (2 * u - 1) + Vector((0, 0, 0.25 * blade * abs(2 * u - 1))))

    mesh.sheet(surface, material, steps=(2, 8))


def television(random: Random, surfaces: Surfaces, *, width: float) -> tuple[bpy.types.Object, str]:
    """A flat television or monitor on a foot; the screen faces -y, the origin is under the foot."""
    r, mesh = random, MeshBuilder()
    black = surfaces.plain((0.012, 0.012, 0.014), roughness=r.uniform(0.2, 0.5))
    height, lift = width * r.choice([0.5625, 0.5625, 0.625, 0.75]), 0.04 + width * r.uniform(0.02, 0.12)
    mesh.box((width, 0.04, height), (0, 0, lift + height / 2), black, bevel=0.008)
    rim = r.uniform(0.008, 0.03)
    mesh.box((width - 2 * rim, 0.006, height - 2 * rim), (0, -0.021, lift + height / 2), surfaces.screen())
    mesh.box((0.05, 0.03, lift + 0.05), (0, 0.015, lift / 2), black)
    mesh.box((width * 0.38, 0.2, 0.015), (0, 0, 0.008), black, bevel=0.004)
    return mesh.finish("tvmonitor"), "screen"


def bottle(random: Random, surfaces: Surfaces, *, height: float) -> tuple[bpy.types.Object, str]:
    """A wine, beer, water or plastic bottle; ``height`` in metres."""
    r, mesh = random, MeshBuilder()
    body = surfaces.glass() if r.random() < 0.7 else surfaces.plastic()
    cap = surfaces.plain(surfaces.color(saturation=(0.2, 0.9)), roughness=0.4)
    radius = height * r.uniform(0.11, 0.16)
    shoulder, neck = r.uniform(0.5, 0.66), r.uniform(0.3, 0.42)
    mesh.lathe(
        [
            (radius * 0.94, 0),
            (radius, height * 0.02),
            (radius, height * shoulder),
            (radius * 0.85, height * (shoulder + 0.06)),
            (radius * neck, height * (shoulder + 0.18)),
            (radius * neck, height * 0.94),
        ],
        (0, 0, 0),
        body,
    )
    mesh.lathe([(radius * neck * 1.15, height * 0.93), (radius * neck * 1.15, height)], (0, 0, 0), cap, segments=16)
    if r.random() < 0.7:
        label = surfaces.plain(surfaces.color(value=(0.3, 1.0)), roughness=0.7)
        low = r.uniform(0.12, 0.2)
        mesh.lathe([(radius * 1.012, height * low), (radius * 1.012, height * r.uniform(0.36, 0.48))], (0, 0, 0), label)
    return mesh.finish("bottle"), "bottle"


def clutter(random: Random, surfaces: Surfaces) -> tuple[bpy.types.Object, float]:
    """Something on the floor that is not a class of VOC. Returns the object and its radius in metres."""
    r, mesh = random, MeshBuilder()
    kind = r.choice(["shelf", "lamp", "boxes", "stool", "basket", "ball", "cabinet"])
    if kind == "shelf":
        wood, width, height = surfaces.wood(), r.uniform(0.6, 1.1), r.uniform(1.0, 2.0)
        for k in range(5):
            mesh.box((width, 0.3, 0.025), (0, 0, 0.05 + (height - 0.1) * k / 4), wood)
        for side in (-1, 1):
            mesh.box((0.025, 0.3, height), (side * width / 2, 0, height / 2), wood)
        for k in range(4):
            x = -width / 2 + 0.05
            while x < width / 2 - 0.08 and r.random() < 0.9:
                thick, tall = r.uniform(0.02, 0.06), r.uniform(0.14, 0.24)
                mesh.box((thick, 0.2, tall), (x + thick / 2, 0, 0.07 + (height - 0.1) * k / 4 + tall / 2), surfaces.plastic())
                x += thick + 0.004
        radius = width / 2
    elif kind == "lamp":
        height, metal = r.uniform(1.2, 1.7), surfaces.metal()
        mesh.lathe([(0.14, 0), (0.13, 0.03)], (0, 0, 0), metal)
        mesh.tube((0, 0, 0.02), (0, 0, height), 0.012, metal)
        shade = surfaces.plain((0.9, 0.82, 0.65), roughness=0.9, emission=r.choice([0.0, 0.8, 2.0]))
        mesh.lathe([(0.2, height - 0.12), (0.13, height + 0.16)], (0, 0, 0), shade)
        radius = 0.2
    elif kind == "boxes":
        z = 0.0
        for _ in range(r.randint(1, 3)):
            size = (r.uniform(0.25, 0.5), r.uniform(0.25, 0.45), r.uniform(0.15, 0.4))
            mesh.box(
                size,
                (0, 0, z + size[2] / 2),
                surfaces.plain(surfaces.color(), roughness=0.9),
                bevel=0.004,
                tilt=(0, 0, r.uniform(0, 3)),
            )
            z += size[2]
        radius = 0.35
    elif kind == "stool":
        wood, height = surfaces.wood(), r.uniform(0.42, 0.75)
        mesh.lathe([(0.17, height - 0.04), (0.18, height)], (0, 0, 0), wood)
        for k in range(3):
            a = 2 * math.pi * k / 3
            mesh.tube((0.18 * math.cos(a), 0.18 * math.sin(a), 0), (0.1 * math.cos(a), 0.1 * math.sin(a), height), 0.015, wood)
        radius = 0.2
    elif kind == "basket":
        mesh.lathe([(0.16, 0), (0.2, 0.15), (0.19, 0.35), (0.15, 0.35), (0.14, 0.05)], (0, 0, 0), surfaces.fabric())
        radius = 0.2
    elif kind == "ball":
        size = r.uniform(0.1, 0.28)
        mesh.blob((size,) * 3, (0, 0, size), surfaces.plastic())
        radius = size
    else:
        size = (r.uniform(0.5, 0.9), 0.42, r.uniform(0.7, 1.5))
        mesh.box(size, (0, 0, size[2] / 2), surfaces.wood(), bevel=0.008)
        for k in range(3):
            mesh.box(
                (size[0] * 0.9, 0.02, size[2] * 0.28), (0, -0.215, size[2] * (0.18 + 0.32 * k)), surfaces.wood(), bevel=0.006
            )
        radius = size[0] / 2
    return mesh.finish("clutter"), radius


def tabletop(random: Random, surfaces: Surfaces) -> bpy.types.Object:
    """Small background objects on tables: cups, bowls, books, fruit."""
    r, mesh = random, MeshBuilder()
    kind = r.choice(["cup", "bowl", "books", "fruit"])
    if kind == "cup":
        mesh.lathe([(0.03, 0), (0.04, 0.09), (0.036, 0.09), (0.026, 0.01)], (0, 0, 0), surfaces.plastic())
    elif kind == "bowl":
        mesh.lathe([(0.05, 0), (0.13, 0.07), (0.125, 0.07), (0.045, 0.015)], (0, 0, 0), surfaces.plastic())
    elif kind == "books":
        for k in range(r.randint(1, 4)):
            mesh.box(
                (r.uniform(0.14, 0.22), r.uniform(0.2, 0.28), 0.025),
                (0, 0, 0.013 + 0.026 * k),
                surfaces.plastic(),
                tilt=(0, 0, r.uniform(0, 0.6)),
            )
    else:
        for _ in range(r.randint(2, 5)):
            mesh.blob((0.04,) * 3, (r.uniform(-0.08, 0.08), r.uniform(-0.08, 0.08), 0.04), surfaces.plastic())
    return mesh.finish("tabletop")
