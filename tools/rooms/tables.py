"""Dining tables (a VOC class), and the desks, consoles and coffee tables that VOC counts as background."""

from __future__ import annotations

import math
from random import Random

import bpy

from tools.rooms.materials import Surfaces
from tools.rooms.mesh import MeshBuilder


def dining_table(random: Random, surfaces: Surfaces) -> tuple[bpy.types.Object, str, tuple[float, float, float]]:
    """A table to eat at. Returns the object, its subtype and (width, depth, height) of its top."""
    r, mesh = random, MeshBuilder()
    wood = (
        surfaces.wood()
        if r.random() < 0.75
        else surfaces.plain(surfaces.color(saturation=(0, 0.2), value=(0.3, 0.95)), roughness=0.3)
    )
    height, top = r.uniform(0.71, 0.78), r.uniform(0.025, 0.055)
    if r.random() < 0.35:
        radius = r.uniform(0.42, 0.75)
        mesh.lathe(
            [(radius * 0.97, height - top), (radius, height - top / 2), (radius * 0.99, height)], (0, 0, 0), wood, segments=48
        )
        leg = surfaces.metal() if r.random() < 0.4 else wood
        if r.random() < 0.6:
            mesh.lathe([(radius * 0.6, 0), (radius * 0.55, 0.03), (0.05, 0.07), (0.045, height - top)], (0, 0, 0), leg)
        else:
            _legs(mesh, r, leg, radius * 1.3, radius * 1.3, height - top)
        return mesh.finish("diningtable"), "round", (2 * radius, 2 * radius, height)
    width, depth = r.uniform(0.8, 2.1), r.uniform(0.7, 0.98)
    mesh.box((width, depth, top), (0, 0, height - top / 2), wood, bevel=r.choice([0.004, 0.015]))
    leg = wood if r.random() < 0.7 else surfaces.metal()
    _legs(mesh, r, leg, width, depth, height - top)
    if r.random() < 0.5:
        for side in (-1, 1):
            mesh.box((width - 0.2, 0.02, 0.09), (0, side * (depth / 2 - 0.1), height - top - 0.045), wood)
            mesh.box((0.02, depth - 0.2, 0.09), (side * (width / 2 - 0.1), 0, height - top - 0.045), wood)
    if r.random() < 0.2:
        cloth = surfaces.fabric()
        mesh.box((width * 1.01, depth * 1.01, 0.006), (0, 0, height + 0.003), cloth, bevel=0.002)
        for side in (-1, 1):
            mesh.box((width * 1.01, 0.006, 0.22), (0, side * depth * 0.506, height - 0.11), cloth)
            mesh.box((0.006, depth * 1.01, 0.22), (side * width * 0.506, 0, height - 0.11), cloth)
    return mesh.finish("diningtable"), "rectangular", (width, depth, height)


def desk(random: Random, surfaces: Surfaces) -> tuple[bpy.types.Object, tuple[float, float, float]]:
    """A desk with a drawer block against the wall: background in VOC, and unlike a dining table on purpose."""
    r, mesh = random, MeshBuilder()
    board = surfaces.wood()
    width, depth, height = r.uniform(1.0, 1.5), r.uniform(0.5, 0.65), r.uniform(0.7, 0.75)
    mesh.box((width, depth, 0.03), (0, 0, height), board, bevel=0.005)
    mesh.box((0.03, depth, height), (-width / 2 + 0.02, 0, height / 2), board)
    mesh.box((0.4, depth, height - 0.02), (width / 2 - 0.2, 0, height / 2), board, bevel=0.004)
    mesh.box((width, 0.02, height * 0.7), (0, depth / 2 - 0.02, height * 0.6), board)
    for k in range(3):
        mesh.box((0.12, 0.02, 0.015), (width / 2 - 0.2, -depth / 2 - 0.01, height * (0.25 + 0.25 * k)), surfaces.metal())
    return mesh.finish("desk"), (width, depth, height)


def console(random: Random, surfaces: Surfaces) -> tuple[bpy.types.Object, tuple[float, float, float]]:
    """A low cabinet for a television."""
    r, mesh = random, MeshBuilder()
    board, front = surfaces.wood(), surfaces.wood()
    width, depth, height = r.uniform(1.0, 1.8), r.uniform(0.35, 0.48), r.uniform(0.35, 0.6)
    mesh.box((width, depth, height), (0, 0, height / 2 + 0.05), board, bevel=0.006)
    doors = r.randint(2, 4)
    for k in range(doors):
        x = width * ((k + 0.5) / doors - 0.5)
        mesh.box((width / doors * 0.94, 0.02, height * 0.88), (x, -depth / 2 - 0.008, height / 2 + 0.05), front, bevel=0.004)
    mesh.box((width * 0.9, depth * 0.8, 0.05), (0, 0, 0.025), board)
    return mesh.finish("console"), (width, depth, height + 0.05)


def coffee_table(random: Random, surfaces: Surfaces) -> tuple[bpy.types.Object, tuple[float, float, float]]:
    """A low table. VOC's dining table is one to eat at, so this one is background."""
    r, mesh = random, MeshBuilder()
    wood, height = surfaces.wood(), r.uniform(0.3, 0.4)
    width, depth = r.uniform(0.7, 1.1), r.uniform(0.45, 0.6)
    mesh.box((width, depth, 0.05), (0, 0, height - 0.025), wood, bevel=0.01)
    mesh.box((width * 0.85, depth * 0.8, 0.02), (0, 0, height * 0.4), wood)
    _legs(mesh, r, wood, width, depth, height - 0.05)
    return mesh.finish("coffee table"), (width, depth, height)


def _legs(mesh: MeshBuilder, r: Random, material: bpy.types.Material, width: float, depth: float, height: float) -> None:
    thick, splay, square = r.uniform(0.02, 0.045), r.uniform(0, 0.08), r.random() < 0.5
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (width / 2 - 0.08), sy * (depth / 2 - 0.08)
            if square:
                mesh.box((2 * thick, 2 * thick, height), (x, y, height / 2), material, bevel=0.004, taper=r.uniform(0.6, 1))
            else:
                lean = math.copysign(splay, x), math.copysign(splay, y)
                mesh.tube((x + lean[0], y + lean[1], 0), (x, y, height), thick * 0.7, material, end_radius=thick)
