"""How the twelve rooms are furnished, and from where they are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.sample.rooms import Room, board, bottle, chair, plant, shell, sofa, table, tv


@dataclass(frozen=True)
class Scene:
    """A furnished room with its camera: position, point looked at, half the picture's width at distance 1."""

    name: str
    room: Room
    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    lens: float = 0.62


def dining(rng: np.random.Generator, name: str, *, round_top: bool, chairs: int) -> Scene:
    """A table with chairs around it, bottles and a plant on it."""
    room = Room(rng)
    shell(room, 2.4, 2.2)
    half = (0.62, 0.62) if round_top else (0.8, 0.45)
    yaw = rng.uniform(-25, 25)
    table(room, 0, -0.5, yaw, half)
    places = [(0, 0.75, 180), (-1.0, -0.5, 90), (1.0, -0.5, -90), (0.05, -1.55, 0), (0.75, 0.45, 215), (-0.75, 0.4, 150)]
    for x, z, facing in places[:chairs]:
        chair(room, x + rng.uniform(-0.1, 0.1), z + rng.uniform(-0.1, 0.1), facing + rng.uniform(-25, 25))
    for _ in range(int(rng.integers(1, 4))):
        bottle(room, rng.uniform(-0.35, 0.35), -0.5 + rng.uniform(-0.25, 0.2), 0.74)
    plant(room, -0.15, -0.6, 0.74, 0.45) if round_top else plant(room, 1.9, -1.7)
    return Scene(name, room, (rng.uniform(-1.3, 1.3), 1.55, 2.1), (0, 0.6, -0.5))


def lounge(rng: np.random.Generator, name: str, *, seats: int, with_tv: bool, armchair: bool) -> Scene:
    """A sofa, perhaps an armchair and a screen, a low table, plants."""
    room = Room(rng)
    shell(room, 2.5, 2.3)
    sofa(room, -0.5, -1.4, rng.uniform(-12, 12), seats)
    if armchair:
        sofa(room, 1.5, -0.5, -70 + rng.uniform(-15, 15), 1)
    else:
        chair(room, 1.35, -0.55, -60 + rng.uniform(-20, 20))
    table(room, -0.1, -0.15, rng.uniform(-10, 10), (0.5, 0.3), 0.42)
    bottle(room, rng.uniform(-0.3, 0.2), -0.15, 0.42)
    if with_tv:
        board(room, 1.65, -2.0, -8)
        tv(room, 1.65, -2.0, -8, 0.5)
    else:
        plant(room, 1.7, -1.8, 0, 1.35)
    plant(room, -2.0, -1.8, 0, rng.uniform(0.9, 1.3))
    return Scene(name, room, (rng.uniform(-0.9, 0.9), 1.4, 2.2), (0.1, 0.5, -1.0))


def study(rng: np.random.Generator, name: str, *, close: bool) -> Scene:
    """A screen on a table with one chair in front of it, which hides a part of it."""
    room = Room(rng)
    shell(room, 2.2, 1.9)
    table(room, 0, -1.3, 0, (0.85, 0.38))
    tv(room, 0.1, -1.4, rng.uniform(-12, 12), 0.74)
    chair(room, rng.uniform(-0.35, 0.35), -0.55, 180 + rng.uniform(-35, 35))
    bottle(room, -0.6, -1.2, 0.74)
    plant(room, 0.72, -1.45, 0.74, 0.5)
    if not close:
        sofa(room, -1.6, -0.3, 80, 1)
        plant(room, 1.75, -1.4)
    return Scene(name, room, (rng.uniform(-0.8, 0.8), 1.35, 1.0 if close else 1.8), (0, 0.7, -1.2))


def all_scenes(seed: int) -> list[Scene]:
    """The twelve scenes of the sample project; equal for equal seeds."""
    rng = np.random.default_rng(seed)
    return [
        dining(rng, "breakfast", round_top=True, chairs=3),
        dining(rng, "dinner", round_top=False, chairs=6),
        dining(rng, "four_chairs", round_top=False, chairs=4),
        dining(rng, "round_table", round_top=True, chairs=5),
        lounge(rng, "armchair", seats=2, with_tv=False, armchair=True),
        lounge(rng, "evening", seats=3, with_tv=True, armchair=False),
        lounge(rng, "reading", seats=1, with_tv=False, armchair=False),
        lounge(rng, "sofa_and_screen", seats=3, with_tv=True, armchair=True),
        study(rng, "desk", close=False),
        study(rng, "desk_close", close=True),
        study(rng, "homework", close=False),
        dining(rng, "visitors", round_top=False, chairs=5),
    ]
