"""Rendered rooms: indoor scenes with exact truth, made with Blender's path tracer.

``python -m tools.rooms --out DIR --count N --seed S`` writes ``images/*.jpg``, ``truth/*.png`` (VOC-21 ids, void ring) and
``objects/*.json`` (per object: class, subtype, visible fraction). The same seed gives the same scene on every machine; pixels
agree up to the renderer's floating point.

Rooms of the house: :mod:`mesh` (shapes), :mod:`materials` (surfaces), :mod:`seating`, :mod:`tables`, :mod:`props` (furniture),
:mod:`room` (walls, windows, lights), :mod:`arrange` (what stands where, and the camera), :mod:`render` (pictures, ids),
:mod:`truth` (masks, occlusion), :mod:`degrade` (noise, blur, JPEG). Needs the extra ``scenes`` (bpy, Python 3.11).
"""
