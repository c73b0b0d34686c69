"""Twelve furnished rooms, as solids for the tracer. Units are metres; y is up; furniture faces +z in its own frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tools.sample.tracer import CUBE, CYLINDER, GLOW, PLAIN, PLANKS, SPHERE, WEAVE, WOOD

# PASCAL VOC class ids.
BACKGROUND, BOTTLE, CHAIR, TABLE, PLANT, SOFA, TV = 0, 5, 9, 11, 16, 18, 20

Vector = tuple[float, float, float]
WOODS = [(0.42, 0.24, 0.12), (0.55, 0.36, 0.2), (0.24, 0.13, 0.07), (0.66, 0.52, 0.36)]
CLOTHS = [(0.12, 0.22, 0.36), (0.5, 0.16, 0.12), (0.2, 0.34, 0.24), (0.55, 0.47, 0.36), (0.3, 0.3, 0.33), (0.6, 0.4, 0.12)]
WALLS = [(0.72, 0.7, 0.64), (0.5, 0.6, 0.62), (0.68, 0.56, 0.46), (0.56, 0.62, 0.52)]


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """Rotation about y (yaw), then x (pitch), then z (roll); angles in degrees."""
    a, b, c = (math.radians(angle) for angle in (yaw, pitch, roll))
    about_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


@dataclass
class Room:
    """Solids in the order in which they were put in; ``rows`` holds (kind, map, ball, color, pattern, class, object)."""

    rng: np.random.Generator
    rows: list[tuple] = field(default_factory=list)
    objects: int = 0
    _frame: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    _place: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    _class: int = BACKGROUND

    def begin(self, class_id: int, x: float, z: float, yaw: float = 0.0, y: float = 0.0) -> None:
        """Start an object of a class at a place of the floor (or at height ``y``)."""
        self.objects += 1
        self._class, self._frame, self._place = class_id, rotation(yaw), np.array([x, y, z], dtype=float)

    def add(self, kind: int, center: Vector, half: Vector, color: Vector, pattern: int = PLAIN, turn: Vector = (0, 0, 0)) -> None:
        """Put in a solid with half extents ``half``, turned by (yaw, pitch, roll) degrees within the object's frame."""
        matrix = self._frame @ rotation(*turn) @ np.diag(half)
        inverse = np.linalg.inv(matrix)
        world = self._frame @ np.array(center, dtype=float) + self._place
        ball = (*world, float(np.square(half).sum() if kind == CUBE else half[1] ** 2 + max(half[0], half[2]) ** 2))
        self.rows.append((kind, np.column_stack([inverse, -inverse @ world]), ball, color, pattern, self._class, self.objects))

    def pick(self, choices: list[Vector]) -> Vector:
        """One of the colours, slightly varied."""
        color = np.array(choices[self.rng.integers(len(choices))]) * self.rng.uniform(0.85, 1.15, 3)
        return tuple(np.clip(color, 0.03, 0.9))


def shell(room: Room, half_width: float, depth: float, height: float = 2.6) -> None:
    """Floor, ceiling, walls, a rug, a picture and a bright window."""
    room.begin(BACKGROUND, 0, 0)
    wall = room.pick(WALLS)
    room.add(CUBE, (0, -0.05, 0), (half_width, 0.05, depth), room.pick(WOODS), PLANKS)
    room.add(CUBE, (0, height, 0), (half_width, 0.05, depth), (0.8, 0.8, 0.78))
    room.add(CUBE, (0, height / 2, -depth), (half_width, height / 2, 0.05), wall)
    room.add(CUBE, (0, 0.05, -depth + 0.06), (half_width, 0.05, 0.02), (0.75, 0.74, 0.7))
    for side in (-1, 1):
        room.add(CUBE, (side * half_width, height / 2, 0), (0.05, height / 2, depth), tuple(np.array(wall) * 0.92))
    room.add(CYLINDER, (room.rng.uniform(-0.4, 0.4), 0.006, -0.3), (1.5, 0.006, 1.1), room.pick(CLOTHS), WEAVE)
    x = room.rng.uniform(-0.8, 0.8)
    room.add(CUBE, (x, 1.75, -depth + 0.06), (0.42, 0.3, 0.02), (0.1, 0.08, 0.07))
    room.add(CUBE, (x, 1.75, -depth + 0.075), (0.37, 0.25, 0.02), room.pick(CLOTHS))
    room.add(SPHERE, (x + 0.1, 1.78, -depth + 0.095), (0.12, 0.12, 0.004), room.pick(WALLS))
    room.add(CUBE, (-half_width + 0.06, 1.5, -0.2), (0.01, 0.55, 0.7), (3.2, 3.4, 3.8), GLOW)
    room.add(CUBE, (-half_width + 0.065, 1.5, -0.2), (0.02, 0.56, 0.025), (0.7, 0.7, 0.7))


def chair(room: Room, x: float, z: float, yaw: float) -> None:
    """A wooden chair with a padded seat and a slatted or closed back."""
    room.begin(CHAIR, x, z, yaw)
    wood, cloth = room.pick(WOODS), room.pick(CLOTHS)
    for sx in (-0.19, 0.19):
        room.add(CYLINDER, (sx, 0.22, 0.19), (0.022, 0.22, 0.022), wood, WOOD)
        room.add(CUBE, (sx, 0.48, -0.2), (0.02, 0.48, 0.022), wood, WOOD, (0, -5, 0))
    room.add(CUBE, (0, 0.43, 0), (0.23, 0.022, 0.22), wood, WOOD)
    room.add(SPHERE, (0, 0.45, 0), (0.22, 0.04, 0.21), cloth, WEAVE)
    if room.rng.random() < 0.5:
        for y in (0.62, 0.75, 0.88):
            room.add(CUBE, (0, y, -0.205 - 0.08 * (y - 0.5)), (0.19, 0.04, 0.012), wood, WOOD, (0, -5, 0))
    else:
        room.add(CUBE, (0, 0.75, -0.215), (0.2, 0.19, 0.018), cloth, WEAVE, (0, -5, 0))


def sofa(room: Room, x: float, z: float, yaw: float, seats: int = 3) -> None:
    """A sofa of one (an armchair that models call a chair) to three seats."""
    room.begin(SOFA, x, z, yaw)
    cloth = room.pick(CLOTHS)
    half = 0.33 * seats
    room.add(CUBE, (0, 0.2, 0), (half + 0.14, 0.12, 0.4), cloth, WEAVE)
    room.add(CUBE, (0, 0.5, -0.36), (half + 0.14, 0.32, 0.1), cloth, WEAVE, (0, -8, 0))
    for side in (-1, 1):
        room.add(CUBE, (side * (half + 0.1), 0.36, 0.02), (0.09, 0.2, 0.4), cloth, WEAVE)
        room.add(CYLINDER, (side * (half + 0.1), 0.56, 0.02), (0.1, 0.4, 0.1), cloth, WEAVE, (0, 90, 0))
        for depth in (-0.3, 0.3):
            room.add(CYLINDER, (side * half, 0.05, depth), (0.03, 0.05, 0.03), (0.08, 0.06, 0.05))
    for seat in range(seats):
        center = (seat - (seats - 1) / 2) * 0.66
        room.add(SPHERE, (center, 0.33, 0.04), (0.36, 0.1, 0.4), cloth, WEAVE)
        room.add(SPHERE, (center, 0.62, -0.24), (0.34, 0.24, 0.1), cloth, WEAVE, (0, -8, 0))
    room.add(SPHERE, (-half + 0.24, 0.56, -0.06), (0.2, 0.19, 0.07), room.pick(CLOTHS), WEAVE, (12, -22, 10))


def table(room: Room, x: float, z: float, yaw: float, half: tuple[float, float] = (0.7, 0.45), height: float = 0.74) -> None:
    """A rectangular table; a round one where both halves are equal."""
    room.begin(TABLE, x, z, yaw)
    wood = room.pick(WOODS)
    round_top = half[0] == half[1]
    room.add(CYLINDER if round_top else CUBE, (0, height - 0.02, 0), (half[0], 0.022, half[1]), wood, WOOD)
    if round_top:
        room.add(CYLINDER, (0, height / 2, 0), (0.05, height / 2, 0.05), wood, WOOD)
        room.add(CYLINDER, (0, 0.02, 0), (half[0] * 0.5, 0.02, half[1] * 0.5), wood, WOOD)
        return
    for sx in (-1, 1):
        for sz in (-1, 1):
            room.add(
                CUBE,
                (sx * (half[0] - 0.06), height / 2 - 0.02, sz * (half[1] - 0.06)),
                (0.032, height / 2 - 0.02, 0.032),
                wood,
                WOOD,
            )


def plant(room: Room, x: float, z: float, y: float = 0.0, size: float = 1.0) -> None:
    """A pot with bent leaves."""
    room.begin(PLANT, x, z, room.rng.uniform(0, 360), y)
    pot = room.pick(CLOTHS)
    room.add(CYLINDER, (0, 0.13 * size, 0), (0.14 * size, 0.13 * size, 0.14 * size), pot)
    room.add(CYLINDER, (0, 0.255 * size, 0), (0.155 * size, 0.02 * size, 0.155 * size), pot)
    for leaf in range(26):
        yaw, lean = leaf * 137.5, room.rng.uniform(12, 70)
        length = size * room.rng.uniform(0.2, 0.34)
        out = math.sin(math.radians(lean)) * length * 1.05
        center = (
            out * math.sin(math.radians(yaw)),
            0.27 * size + math.cos(math.radians(lean)) * length * 1.1,
            out * math.cos(math.radians(yaw)),
        )
        green = tuple(np.array((0.09, 0.27, 0.07)) * room.rng.uniform(0.6, 1.5))
        room.add(SPHERE, center, (0.045 * size, length, 0.012 * size), green, PLAIN, (yaw, lean, 0))


def tv(room: Room, x: float, z: float, yaw: float, y: float) -> None:
    """A flat screen on a foot, showing something dim."""
    room.begin(TV, x, z, yaw, y)
    room.add(CUBE, (0, 0.36, 0), (0.5, 0.29, 0.025), (0.03, 0.03, 0.035))
    room.add(CUBE, (0, 0.36, 0.02), (0.48, 0.27, 0.01), tuple(room.rng.uniform(0.02, 0.28, 3)), GLOW)
    room.add(CUBE, (0, 0.06, -0.01), (0.06, 0.06, 0.02), (0.04, 0.04, 0.04))
    room.add(CUBE, (0, 0.01, 0), (0.24, 0.01, 0.12), (0.04, 0.04, 0.04))


def bottle(room: Room, x: float, z: float, y: float) -> None:
    """A bottle of coloured glass, here opaque."""
    room.begin(BOTTLE, x, z, 0, y)
    glass = room.pick([(0.05, 0.22, 0.09), (0.3, 0.12, 0.04), (0.1, 0.2, 0.32), (0.5, 0.42, 0.2)])
    room.add(CYLINDER, (0, 0.1, 0), (0.042, 0.1, 0.042), glass)
    room.add(SPHERE, (0, 0.2, 0), (0.042, 0.05, 0.042), glass)
    room.add(CYLINDER, (0, 0.27, 0), (0.016, 0.055, 0.016), glass)
    room.add(CYLINDER, (0, 0.11, 0), (0.0428, 0.045, 0.0428), (0.75, 0.72, 0.62))


def board(room: Room, x: float, z: float, yaw: float) -> None:
    """A low cupboard (background) that a screen can stand on; its top is at 0.5 m."""
    room.begin(BACKGROUND, x, z, yaw)
    wood = room.pick(WOODS)
    room.add(CUBE, (0, 0.27, 0), (0.8, 0.23, 0.22), wood, WOOD)
    for sx in (-0.4, 0.4):
        room.add(CUBE, (sx, 0.27, 0.225), (0.37, 0.19, 0.008), tuple(np.array(wood) * 1.2), WOOD)
        room.add(SPHERE, (sx * 0.2, 0.3, 0.24), (0.015, 0.015, 0.015), (0.6, 0.6, 0.6))
