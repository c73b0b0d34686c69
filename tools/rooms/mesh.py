"""Shapes: a builder that puts boxes, tubes, cushions, lathed bodies and bent sheets into one mesh object. Units are metres."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache

import bmesh
import bpy
from mathutils import Matrix, Vector

Vec = tuple[float, float, float]


class MeshBuilder:
    """Collects parts, each with its own material, and finishes them as one object standing on z = 0."""

    def __init__(self) -> None:
        self._mesh = bmesh.new()
        self._materials: list[bpy.types.Material] = []

    def box(
        self,
        size: Vec,
        center: Vec,
        material: bpy.types.Material,
        *,
        bevel: float = 0.0,
        tilt: Vec = (0, 0, 0),
        taper: float = 1.0,
    ) -> None:
        """A box with rounded edges. ``tilt`` is an XYZ Euler rotation in radians; ``taper`` scales the bottom face."""
        verts = self._cube(size, center, tilt, shape=lambda p: (p.x * _mix(p.z, taper), p.y * _mix(p.z, taper), p.z))
        faces = self._paint(verts, material)
        if bevel > 0:
            edges = {edge for face in faces for edge in face.edges}
            made = bmesh.ops.bevel(
                self._mesh, geom=list(edges), offset=min(bevel, 0.45 * min(size)), segments=3, affect="EDGES", profile=0.6
            )
            for face in made["faces"]:
                face.smooth = True

    def cushion(self, size: Vec, center: Vec, material: bpy.types.Material, *, puff: float = 0.25, tilt: Vec = (0, 0, 0)) -> None:
        """A padded block: corners rounded, middle swollen by ``puff`` (share of the thickness)."""

        def swell(p: Vector) -> Vec:
            # A superellipse with exponent 6 rounds the corners, a product of parabolas swells the two large faces.
            norm = (abs(2 * p.x) ** 6 + abs(2 * p.y) ** 6 + abs(2 * p.z) ** 6) ** (1 / 6)
            edge = max(abs(2 * p.x), abs(2 * p.y), abs(2 * p.z))
            shrink = edge / norm if norm > 0 else 1.0
            bump = 1 + puff * (1 - (2 * p.x) ** 2) * (1 - (2 * p.y) ** 2)
            return p.x * shrink, p.y * shrink, p.z * shrink * bump

        self._paint(self._cube(size, center, tilt, shape=swell, cuts=7), material, smooth=True)

    def tube(self, start: Vec, end: Vec, radius: float, material: bpy.types.Material, *, end_radius: float | None = None) -> None:
        """A round bar between two points, possibly tapered."""
        a, b = Vector(start), Vector(end)
        axis = b - a
        turn = Vector((0, 0, 1)).rotation_difference(axis).to_matrix().to_4x4()
        made = bmesh.ops.create_cone(
            self._mesh, cap_ends=True, segments=14, radius1=radius, radius2=radius if end_radius is None else end_radius,
            depth=axis.length, matrix=Matrix.Translation((a + b) / 2) @ turn,
        )  # fmt: skip
        self._paint(made["verts"], material, smooth=True)

    def lathe(
        self, profile: Sequence[tuple[float, float]], center: Vec, material: bpy.types.Material, *, segments: int = 24
    ) -> None:
        """A body of revolution around the vertical; ``profile`` lists (radius, height) from bottom to top."""
        rings = [
            [
                self._mesh.verts.new((center[0] + r * math.cos(a), center[1] + r * math.sin(a), center[2] + z))
                for a in (2 * math.pi * k / segments for k in range(segments))
            ]
            for r, z in profile
        ]
        slot = self._slot(material)
        faces = [
            self._mesh.faces.new((low[k], low[(k + 1) % segments], high[(k + 1) % segments], high[k]))
            for low, high in itertools.pairwise(rings)
            for k in range(segments)
        ]
        faces += [self._mesh.faces.new(tuple(reversed(rings[0]))), self._mesh.faces.new(rings[-1])]
        for face in faces:
            face.material_index, face.smooth = slot, len(face.verts) == 4

    def sheet(
        self, surface: Callable[[float, float], Vec], material: bpy.types.Material, *, steps: tuple[int, int] = (12, 12),
        thickness: float = 0.0,
    ) -> None:  # fmt: skip
        """A bent sheet ``surface(u, v)`` for u, v in 0..1; with a thickness it becomes a shell."""
        across, along = steps
        grid = [[self._mesh.verts.new(surface(i / across, j / along)) for j in range(along + 1)] for i in range(across + 1)]
        slot = self._slot(material)
        faces = []
        for i in range(across):
            for j in range(along):
                face = self._mesh.faces.new((grid[i][j], grid[i + 1][j], grid[i + 1][j + 1], grid[i][j + 1]))
                face.material_index, face.smooth = slot, True
                faces.append(face)
        if thickness > 0:
            bmesh.ops.solidify(self._mesh, geom=faces, thickness=thickness)

    def blob(
        self, radius: Vec, center: Vec, material: bpy.types.Material, *, rough: Callable[[Vector], float] | None = None
    ) -> None:
        """An ellipsoid; ``rough`` returns a factor for each unit direction."""
        made = bmesh.ops.create_icosphere(self._mesh, subdivisions=3, radius=1.0)
        for vert in made["verts"]:
            factor = rough(vert.co) if rough else 1.0
            vert.co = Vector((vert.co.x * radius[0], vert.co.y * radius[1], vert.co.z * radius[2])) * factor + Vector(center)
        self._paint(made["verts"], material, smooth=True)

    def finish(self, name: str) -> bpy.types.Object:
        """Make the object and link it to the scene."""
        bmesh.ops.recalc_face_normals(self._mesh, faces=self._mesh.faces)
        data = bpy.data.meshes.new(name)
        self._mesh.to_mesh(data)
        self._mesh.free()
        for material in self._materials:
            data.materials.append(material)
        made = bpy.data.objects.new(name, data)
        bpy.context.scene.collection.objects.link(made)
        return made

    def _cube(
        self, size: Vec, center: Vec, tilt: Vec, *, shape: Callable[[Vector], Vec], cuts: int = 0
    ) -> list[bmesh.types.BMVert]:
        points, faces = _cube_points(cuts)
        verts = [self._mesh.verts.new(point) for point in points]
        for face in faces:
            self._mesh.faces.new([verts[k] for k in face])
        turn = Matrix.Rotation(tilt[2], 4, "Z") @ Matrix.Rotation(tilt[1], 4, "Y") @ Matrix.Rotation(tilt[0], 4, "X")
        place = Matrix.Translation(center) @ turn @ Matrix.Diagonal((*size, 1.0))
        for vert in verts:
            vert.co = place @ Vector(shape(vert.co))
        return verts

    def _paint(
        self, verts: Sequence[bmesh.types.BMVert], material: bpy.types.Material, *, smooth: bool = False
    ) -> list[bmesh.types.BMFace]:
        slot = self._slot(material)
        faces = list({face for vert in verts for face in vert.link_faces})
        for face in faces:
            face.material_index, face.smooth = slot, smooth
        return faces

    def _slot(self, material: bpy.types.Material) -> int:
        if material not in self._materials:
            self._materials.append(material)
        return self._materials.index(material)


def _mix(z: float, taper: float) -> float:
    """Scale of a cross-section: ``taper`` at the bottom (z = -0.5), 1 at the top."""
    return taper + (1 - taper) * (z + 0.5)


@cache
def _cube_points(cuts: int) -> tuple[list[Vec], list[list[int]]]:
    """Corners in -0.5..0.5 and faces (indices) of a unit cube with edges cut ``cuts`` times."""
    cube = bmesh.new()
    bmesh.ops.create_cube(cube, size=1.0)
    if cuts:
        bmesh.ops.subdivide_edges(cube, edges=cube.edges[:], cuts=cuts, use_grid_fill=True)
    cube.verts.index_update()
    found = [tuple(vert.co) for vert in cube.verts], [[vert.index for vert in face.verts] for face in cube.faces]
    cube.free()
    return found
