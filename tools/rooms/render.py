"""Pictures by path tracing, and an id image of the same view."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import bpy
import cv2
import numpy as np
from numpy.typing import NDArray

from tools.rooms.arrange import Scene


def fresh_scene(*, width: int, height: int, threads: int, seed: int) -> None:
    """Start from an empty file with Cycles on the CPU; size in px."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.seed = seed
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = 5, 3, 3
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.render.threads_mode, scene.render.threads = "FIXED", threads
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"


def render_photo(random: Random, *, samples: int, quick: bool = False) -> NDArray[np.uint8]:
    """The picture: (H, W, 3) uint8 sRGB, path traced with ``samples`` paths a pixel and denoised.

    ``quick`` denoises with Open Image Denoise's fast filter, led by the albedo alone: at 320x240 and 2 samples 1.7 s instead
    of 3.5 on one core, with somewhat softer textures.
    """
    scene = bpy.context.scene
    scene.cycles.samples = samples
    scene.cycles.use_denoising = True
    scene.cycles.use_adaptive_sampling = True
    if quick:
        scene.cycles.denoising_quality, scene.cycles.denoising_prefilter = "FAST", "NONE"
        scene.cycles.denoising_input_passes = "RGB_ALBEDO"
    scene.view_settings.view_transform = random.choice(["AgX", "Filmic", "Standard"])
    scene.view_settings.exposure = random.uniform(-0.3, 1.0)
    return _render()


def render_ids(furnished: Scene) -> NDArray[np.uint8]:
    """(H, W) uint8: number of the thing seen at each pixel's centre, counted from 1; 0 is not a thing.

    Every surface is overridden by an emission of its object's colour, one sample, no filter, no colour management.
    """
    scene = bpy.context.scene
    for item in scene.objects:
        item.color = (0, 0, 0, 1)
    for number, thing in enumerate(furnished.things, start=1):
        thing.object.color = (number / 255, 0, 0, 1)
    flat = bpy.data.materials.new("ids")
    flat.use_nodes = True
    nodes, links = flat.node_tree.nodes, flat.node_tree.links
    nodes.clear()
    info, glow, output = (nodes.new(kind) for kind in ("ShaderNodeObjectInfo", "ShaderNodeEmission", "ShaderNodeOutputMaterial"))
    links.new(info.outputs["Color"], glow.inputs["Color"])
    links.new(glow.outputs["Emission"], output.inputs["Surface"])
    layer, world = bpy.context.view_layer, scene.world
    camera = scene.camera.data
    kept = (
        scene.cycles.samples,
        scene.cycles.use_denoising,
        scene.view_settings.view_transform,
        scene.view_settings.exposure,
        camera.dof.use_dof,
    )
    lights = [item for item in scene.objects if item.type == "LIGHT"]
    try:
        layer.material_override, scene.world = flat, None
        scene.cycles.samples, scene.cycles.use_denoising = 1, False
        scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
        scene.view_settings.view_transform, scene.view_settings.exposure = "Raw", 0.0
        scene.render.dither_intensity = 0.0
        camera.dof.use_dof = False
        for item in lights:
            item.hide_render = True
        return np.ascontiguousarray(_render()[..., 0])
    finally:
        layer.material_override, scene.world = None, world
        (
            scene.cycles.samples,
            scene.cycles.use_denoising,
            scene.view_settings.view_transform,
            scene.view_settings.exposure,
            camera.dof.use_dof,
        ) = kept
        scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 1.5
        scene.render.dither_intensity = 1.0
        for item in lights:
            item.hide_render = False
        bpy.data.materials.remove(flat)


def _render() -> NDArray[np.uint8]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        bpy.context.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(picture[..., ::-1])
