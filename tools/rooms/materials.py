"""Surfaces: procedural wood, fabric, leather, metal, paint, stone, glass and leaves. Every call makes a new variation."""

from __future__ import annotations

import colorsys
from random import Random
from typing import Any

import bpy

Color = tuple[float, float, float]  # linear-ish sRGB values 0..1; exact colour science does not matter for variety


class Surfaces:
    """Makes materials from one random stream."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._count = 0

    def color(self, *, saturation: tuple[float, float] = (0.05, 0.75), value: tuple[float, float] = (0.08, 0.9)) -> Color:
        """Any colour; indoors dull ones are commoner than bright ones."""
        r = self._random
        low, high = saturation
        return colorsys.hsv_to_rgb(r.random(), low + (high - low) * r.random() ** 1.6, r.uniform(*value))

    def wood(self) -> bpy.types.Material:
        """Planed wood with a stretched grain, raw, stained or painted."""
        r = self._random
        base = r.choice(
            [(0.36, 0.2, 0.09), (0.5, 0.32, 0.17), (0.22, 0.11, 0.05), (0.62, 0.45, 0.28), (0.1, 0.06, 0.04), (0.55, 0.5, 0.44)]
        )
        dark = tuple(part * r.uniform(0.5, 0.85) for part in base)
        material, nodes, shader = self._new("wood", roughness=r.uniform(0.25, 0.65))
        grain = self._texture(nodes, "ShaderNodeTexNoise", scale=(r.uniform(2, 6), r.uniform(20, 60), r.uniform(2, 6)))
        grain.inputs["Scale"].default_value = r.uniform(1, 3)
        grain.inputs["Detail"].default_value = 6
        self._ramp(nodes, grain.outputs["Fac"], shader.inputs["Base Color"], dark, base)
        return material

    def fabric(self, color: Color | None = None) -> bpy.types.Material:
        """Woven cloth: plain, striped, checked or mottled, with a little relief."""
        r = self._random
        first = color or self.color()
        second = self.color() if r.random() < 0.25 else tuple(part * r.uniform(0.7, 0.95) for part in first)
        material, nodes, shader = self._new("fabric", roughness=r.uniform(0.75, 1.0), sheen=r.uniform(0, 0.5))
        kind = r.choices(
            ["ShaderNodeTexNoise", "ShaderNodeTexWave", "ShaderNodeTexChecker", "ShaderNodeTexVoronoi"], [6, 2, 1, 1]
        )[0]
        pattern = self._texture(nodes, kind)
        pattern.inputs["Scale"].default_value = r.uniform(4, 14) if kind != "ShaderNodeTexNoise" else r.uniform(30, 120)
        output = pattern.outputs["Fac"] if "Fac" in pattern.outputs else pattern.outputs["Distance"]
        self._ramp(nodes, output, shader.inputs["Base Color"], first, second)
        self._relief(nodes, shader, scale=r.uniform(80, 300), strength=r.uniform(0.05, 0.35))
        return material

    def leather(self) -> bpy.types.Material:
        """Leather or leatherette: dull colours, soft gloss, fine creases."""
        r = self._random
        color = r.choice(
            [(0.03, 0.02, 0.02), (0.16, 0.07, 0.03), (0.35, 0.18, 0.08), (0.75, 0.72, 0.66), (0.3, 0.03, 0.03), (0.06, 0.1, 0.12)]
        )
        material, nodes, shader = self._new("leather", roughness=r.uniform(0.25, 0.55))
        mottle = self._texture(nodes, "ShaderNodeTexNoise")
        mottle.inputs["Scale"].default_value = r.uniform(3, 12)
        self._ramp(
            nodes, mottle.outputs["Fac"], shader.inputs["Base Color"], color, tuple(min(1.0, part * 1.3) for part in color)
        )
        self._relief(nodes, shader, scale=r.uniform(40, 120), strength=0.15)
        return material

    def upholstery(self) -> bpy.types.Material:
        """What sofas and armchairs are covered with."""
        return self.leather() if self._random.random() < 0.3 else self.fabric()

    def metal(self) -> bpy.types.Material:
        """Chrome, brushed steel, brass or powder-coated black."""
        r = self._random
        color, roughness, metallic = r.choice(
            [
                ((0.8, 0.8, 0.8), 0.12, 1.0),
                ((0.5, 0.5, 0.52), 0.35, 1.0),
                ((0.7, 0.5, 0.2), 0.25, 1.0),
                ((0.02, 0.02, 0.02), 0.45, 0.2),
            ]
        )
        return self.plain(color, roughness=roughness, metallic=metallic)

    def plastic(self) -> bpy.types.Material:
        """Moulded plastic or lacquer in any colour."""
        return self.plain(self.color(saturation=(0, 0.9), value=(0.05, 0.95)), roughness=self._random.uniform(0.15, 0.5))

    def leaf(self) -> bpy.types.Material:
        """Leaves: greens from yellowish to bluish, slightly mottled."""
        r = self._random
        color = colorsys.hsv_to_rgb(r.uniform(0.2, 0.42), r.uniform(0.45, 0.9), r.uniform(0.12, 0.55))
        material, nodes, shader = self._new("leaf", roughness=r.uniform(0.3, 0.7))
        mottle = self._texture(nodes, "ShaderNodeTexNoise")
        mottle.inputs["Scale"].default_value = r.uniform(6, 25)
        self._ramp(nodes, mottle.outputs["Fac"], shader.inputs["Base Color"], tuple(part * 0.55 for part in color), color)
        return material

    def glass(self) -> bpy.types.Material:
        """Bottle glass. Rough transmission keeps the picture free of caustic noise at few samples."""
        r = self._random
        color = r.choice([(0.02, 0.12, 0.04), (0.15, 0.06, 0.01), (0.6, 0.75, 0.7), (0.02, 0.03, 0.06), (0.3, 0.5, 0.65)])
        return self.plain(color, roughness=r.uniform(0.03, 0.15), transmission=r.choice([0.0, 0.0, 0.35]))

    def wall(self) -> bpy.types.Material:
        """Paint, wallpaper or brick."""
        r = self._random
        paint = self.color(saturation=(0.0, 0.4), value=(0.35, 0.95))
        kind = r.choices(["paint", "paper", "brick"], [6, 3, 1])[0]
        material, nodes, shader = self._new("wall", roughness=0.9)
        if kind == "brick":
            self._brick(nodes, shader, paint, scale=r.uniform(3, 6), mortar=0.02)
            return material
        if kind == "paper":
            pattern = self._texture(nodes, r.choice(["ShaderNodeTexWave", "ShaderNodeTexChecker", "ShaderNodeTexMagic"]))
            pattern.inputs["Scale"].default_value = r.uniform(1.5, 9)
        else:
            pattern = self._texture(nodes, "ShaderNodeTexNoise")
            pattern.inputs["Scale"].default_value = r.uniform(1, 4)
        spread = r.uniform(0.75, 0.95) if kind == "paper" else 0.95
        self._ramp(nodes, pattern.outputs["Fac"], shader.inputs["Base Color"], paint, tuple(part * spread for part in paint))
        return material

    def floor(self) -> bpy.types.Material:
        """Planks, tiles, carpet or concrete."""
        r = self._random
        kind = r.choices(["planks", "tiles", "carpet", "concrete"], [4, 2, 2, 1])[0]
        material, nodes, shader = self._new("floor", roughness=r.uniform(0.25, 0.6) if kind in ("planks", "tiles") else 0.95)
        if kind == "planks":
            base = r.choice([(0.4, 0.24, 0.12), (0.55, 0.4, 0.25), (0.2, 0.12, 0.07), (0.5, 0.45, 0.4)])
            self._brick(nodes, shader, base, scale=r.uniform(1, 2), mortar=0.004, squash=r.uniform(4, 8))
        elif kind == "tiles":
            self._brick(
                nodes,
                shader,
                self.color(saturation=(0, 0.3), value=(0.2, 0.9)),
                scale=r.uniform(1.5, 3),
                mortar=0.012,
                squash=1.0,
            )
        else:
            base = self.color(saturation=(0, 0.5), value=(0.1, 0.7))
            pattern = self._texture(nodes, "ShaderNodeTexNoise")
            pattern.inputs["Scale"].default_value = r.uniform(60, 200) if kind == "carpet" else r.uniform(1, 4)
            self._ramp(nodes, pattern.outputs["Fac"], shader.inputs["Base Color"], base, tuple(part * 0.75 for part in base))
        return material

    def screen(self) -> bpy.types.Material:
        """A television that is off (gloss black) or shows something coloured."""
        r = self._random
        if r.random() < 0.5:
            return self.plain((0.008, 0.008, 0.01), roughness=0.08)
        material, nodes, shader = self._new("screen", roughness=0.1)
        picture = self._texture(nodes, r.choice(["ShaderNodeTexNoise", "ShaderNodeTexMagic", "ShaderNodeTexVoronoi"]))
        picture.inputs["Scale"].default_value = r.uniform(0.8, 3)
        shader.inputs["Base Color"].default_value = (0, 0, 0, 1)
        nodes.id_data.links.new(picture.outputs["Color"], shader.inputs["Emission Color"])
        shader.inputs["Emission Strength"].default_value = r.uniform(0.4, 1.4)
        return material

    def picture(self) -> bpy.types.Material:
        """A painting or a poster."""
        r = self._random
        material, nodes, shader = self._new("picture", roughness=0.5)
        pattern = self._texture(
            nodes, r.choice(["ShaderNodeTexNoise", "ShaderNodeTexMagic", "ShaderNodeTexVoronoi", "ShaderNodeTexWave"])
        )
        pattern.inputs["Scale"].default_value = r.uniform(1, 6)
        nodes.id_data.links.new(pattern.outputs["Color" if r.random() < 0.5 else 0], shader.inputs["Base Color"])
        return material

    def plain(
        self, color: Color, *, roughness: float = 0.5, metallic: float = 0.0, transmission: float = 0.0, emission: float = 0.0
    ) -> bpy.types.Material:
        """One colour, one finish."""
        material, _, shader = self._new("plain", roughness=roughness)
        shader.inputs["Base Color"].default_value = (*color, 1)
        shader.inputs["Metallic"].default_value = metallic
        shader.inputs["Transmission Weight"].default_value = transmission
        if emission:
            shader.inputs["Emission Color"].default_value = (*color, 1)
            shader.inputs["Emission Strength"].default_value = emission
        return material

    def _new(self, name: str, *, roughness: float, sheen: float = 0.0) -> tuple[bpy.types.Material, Any, Any]:
        self._count += 1
        material = bpy.data.materials.new(f"{name}.{self._count}")
        material.use_nodes = True
        nodes = material.node_tree.nodes
        shader = nodes["Principled BSDF"]
        shader.inputs["Roughness"].default_value = roughness
        shader.inputs["Sheen Weight"].default_value = sheen
        return material, nodes, shader

    def _texture(self, nodes: Any, kind: str, *, scale: tuple[float, float, float] = (1, 1, 1)) -> Any:
        """A texture node in object space, shifted and turned at random so that no two pieces match."""
        r = self._random
        links = nodes.id_data.links
        texture, place, mapping = nodes.new(kind), nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
        mapping.inputs["Location"].default_value = [r.uniform(-9, 9) for _ in range(3)]
        mapping.inputs["Rotation"].default_value = (0, 0, r.choice([0.0, 1.5708, r.uniform(0, 3.14)]))
        mapping.inputs["Scale"].default_value = scale
        links.new(place.outputs["Object"], mapping.inputs["Vector"])
        links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
        return texture

    def _ramp(self, nodes: Any, value: Any, target: Any, low: Color, high: Color) -> None:
        ramp = nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.3, 0.7
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*low, 1), (*high, 1)
        nodes.id_data.links.new(value, ramp.inputs["Fac"])
        nodes.id_data.links.new(ramp.outputs["Color"], target)

    def _relief(self, nodes: Any, shader: Any, *, scale: float, strength: float) -> None:
        height, bump = self._texture(nodes, "ShaderNodeTexNoise"), nodes.new("ShaderNodeBump")
        height.inputs["Scale"].default_value = scale
        bump.inputs["Strength"].default_value = strength
        bump.inputs["Distance"].default_value = 0.02
        nodes.id_data.links.new(height.outputs["Fac"], bump.inputs["Height"])
        nodes.id_data.links.new(bump.outputs["Normal"], shader.inputs["Normal"])

    def _brick(self, nodes: Any, shader: Any, color: Color, *, scale: float, mortar: float, squash: float = 1.0) -> None:
        r = self._random
        brick = self._texture(nodes, "ShaderNodeTexBrick")
        brick.inputs["Scale"].default_value = scale
        brick.inputs["Mortar Size"].default_value = mortar
        brick.inputs["Brick Width"].default_value = 0.5 * squash
        brick.inputs["Color1"].default_value = (*color, 1)
        brick.inputs["Color2"].default_value = (*(part * r.uniform(0.7, 0.95) for part in color), 1)
        brick.inputs["Mortar"].default_value = (*(part * r.uniform(0.3, 0.9) for part in color), 1)
        nodes.id_data.links.new(brick.outputs["Color"], shader.inputs["Base Color"])
