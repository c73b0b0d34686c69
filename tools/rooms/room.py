"""The empty room: floor, walls, windows, pictures, rugs, and its light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import bpy

from tools.rooms.materials import Surfaces
from tools.rooms.mesh import MeshBuilder


@dataclass(frozen=True)
class Room:
    """Inner size in metres; x and y are centred on the floor's middle, the far wall is at +y."""

    width: float
    depth: float
    height: float


def build_room(random: Random, surfaces: Surfaces) -> Room:
    """Make walls, floor, openings and light.

    There is no ceiling: an even sky replaces it, which keeps path tracing clean at few samples and looks like white paint.
    """
    r = random
    room = Room(r.uniform(3.6, 6.5), r.uniform(3.8, 6.5), r.uniform(2.4, 3.0))
    floor = MeshBuilder()
    floor.box((room.width + 0.4, room.depth + 0.4, 0.1), (0, 0, -0.05), surfaces.floor())
    floor.finish("floor")
    walls, paint = MeshBuilder(), surfaces.wall()
    accent = surfaces.wall() if r.random() < 0.4 else paint
    w, d, h = room.width, room.depth, room.height
    walls.box((w + 0.2, 0.1, h), (0, d / 2 + 0.05, h / 2), accent)
    walls.box((w + 0.2, 0.1, h), (0, -d / 2 - 0.05, h / 2), paint)
    for side in (-1, 1):
        walls.box((0.1, d, h), (side * (w / 2 + 0.05), 0, h / 2), paint)
    trim = surfaces.plain(surfaces.color(saturation=(0, 0.2), value=(0.5, 0.95)), roughness=0.5)
    if r.random() < 0.8:
        walls.box((w, 0.02, 0.09), (0, d / 2 - 0.01, 0.045), trim)
        for side in (-1, 1):
            walls.box((0.02, d, 0.09), (side * (w / 2 - 0.01), 0, 0.045), trim)
    walls.finish("walls")
    _decorate(r, surfaces, room)
    _light(r, room)
    return room


def _decorate(r: Random, surfaces: Surfaces, room: Room) -> None:
    mesh = MeshBuilder()
    w, d = room.width, room.depth
    for _ in range(r.choices([0, 1, 2], [3, 5, 2])[0]):
        _window(mesh, r, surfaces, room)
    for _ in range(r.randint(0, 4)):
        size = r.uniform(0.25, 0.9), r.uniform(0.25, 0.7)
        z = r.uniform(1.3, 1.8)
        frame = surfaces.wood() if r.random() < 0.5 else surfaces.metal()
        if r.random() < 0.6:
            x = r.uniform(-w / 2 + 0.5, w / 2 - 0.5)
            mesh.box((size[0] + 0.05, 0.025, size[1] + 0.05), (x, d / 2 - 0.015, z), frame)
            mesh.box((size[0], 0.01, size[1]), (x, d / 2 - 0.03, z), surfaces.picture())
        else:
            side, y = r.choice([-1, 1]), r.uniform(-d / 3, d / 3)
            mesh.box((0.025, size[0] + 0.05, size[1] + 0.05), (side * (w / 2 - 0.015), y, z), frame)
            mesh.box((0.01, size[0], size[1]), (side * (w / 2 - 0.03), y, z), surfaces.picture())
    if r.random() < 0.3:
        side, y, wood = r.choice([-1, 1]), r.uniform(-d / 3, d / 3), surfaces.wood()
        mesh.box((0.05, 0.9, 2.05), (side * (w / 2 - 0.02), y, 1.03), wood)
    if r.random() < 0.5:
        size = r.uniform(1.4, 2.8), r.uniform(1.0, 2.0)
        mesh.box(
            (*size, 0.012),
            (r.uniform(-0.5, 0.5), r.uniform(-0.5, 0.7), 0.007),
            surfaces.fabric(),
            tilt=(0, 0, r.uniform(-0.3, 0.3)),
        )
    mesh.box((0.01, 0.01, 0.01), (0, 0, -0.05), surfaces.plastic())  # a mesh must not be empty
    mesh.finish("decoration")


def _window(mesh: MeshBuilder, r: Random, surfaces: Surfaces, room: Room) -> None:
    width, height, sill = r.uniform(0.8, 1.8), r.uniform(1.0, 1.5), r.uniform(0.7, 1.0)
    frame = surfaces.plain((0.85, 0.85, 0.83), roughness=0.4)
    sky = surfaces.plain((r.uniform(0.6, 0.9), r.uniform(0.75, 0.95), 1.0), emission=r.uniform(1.5, 4.0))
    cloth = surfaces.fabric() if r.random() < 0.6 else None
    far = r.random() < 0.5
    side = r.choice([-1, 1])
    along = r.uniform(-0.3, 0.3) * (room.width if far else room.depth)
    place = (along, room.depth / 2) if far else (side * room.width / 2, along)

    def panel(size: tuple[float, float], offset: tuple[float, float], depth: float, material: bpy.types.Material) -> None:
        if far:
            mesh.box((size[0], 0.02, size[1]), (place[0] + offset[0], place[1] - depth, sill + height / 2 + offset[1]), material)
        else:
            mesh.box(
                (0.02, size[0], size[1]), (place[0] - side * depth, place[1] + offset[0], sill + height / 2 + offset[1]), material
            )

    panel((width, height), (0, 0), 0.0, sky)
    for x in (-width / 2, 0, width / 2):
        panel((0.06, height), (x, 0), 0.015, frame)
    for z in (-height / 2, height / 2):
        panel((width, 0.06), (0, z), 0.015, frame)
    if cloth:
        for x in (-1, 1):
            panel((width * 0.24, height + 0.5), (x * width * 0.62, -0.1), 0.06, cloth)
    lamp = bpy.data.lights.new("window", "AREA")
    lamp.shape, lamp.size, lamp.size_y = "RECTANGLE", width, height
    lamp.energy = r.uniform(30, 160)
    lamp.color = (1.0, r.uniform(0.85, 1.0), r.uniform(0.7, 1.0))
    made = bpy.data.objects.new("window", lamp)
    made.location = (place[0] - (0 if far else side * 0.15), place[1] - (0.15 if far else 0), sill + height / 2)
    made.rotation_euler = (math.pi / 2, 0, math.pi) if far else (math.pi / 2, 0, side * math.pi / 2)
    made.visible_camera = False
    bpy.context.scene.collection.objects.link(made)


def _light(r: Random, room: Room) -> None:
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    warm = r.uniform(0.8, 1.0)
    background.inputs["Color"].default_value = (1.0, 0.92 * warm + 0.08, 0.8 * warm + 0.2, 1)
    background.inputs["Strength"].default_value = r.uniform(0.25, 1.0)
    bpy.context.scene.world = world
    for _ in range(r.randint(1, 2)):
        lamp = bpy.data.lights.new("ceiling", "AREA")
        lamp.shape, lamp.size = "DISK", r.uniform(0.15, 1.2)
        lamp.energy = r.uniform(20, 120)
        lamp.color = (1.0, r.uniform(0.75, 1.0), r.uniform(0.5, 1.0))
        made = bpy.data.objects.new("ceiling", lamp)
        made.location = (r.uniform(-room.width, room.width) / 3, r.uniform(-room.depth, room.depth) / 3, room.height - 0.05)
        made.visible_camera = False
        bpy.context.scene.collection.objects.link(made)
