"""What stands where, and from where it is seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import bpy
from mathutils import Vector

from tools.rooms import props, seating, tables
from tools.rooms.materials import Surfaces
from tools.rooms.room import Room

BOTTLE, CHAIR, TABLE, PLANT, SOFA, TV = 5, 9, 11, 16, 18, 20  # VOC-21 ids


@dataclass(frozen=True)
class Thing:
    """An object with its VOC class."""

    object: bpy.types.Object
    voc_id: int
    subtype: str


@dataclass
class Scene:
    """A furnished room; ``boxes`` are the ground boxes (x0, y0, x1, y1) of everything on the floor."""

    room: Room
    things: list[Thing] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)


#: How often a room is furnished by each theme, of 100; crowded rooms have heavy occlusion.
THEMES = {"living": 30, "dining": 24, "office": 12, "mixed": 20, "crowded": 14}


def furnish(random: Random, surfaces: Surfaces, room: Room, themes: Mapping[str, int] = THEMES) -> Scene:
    """Fill a room by a theme drawn by the weights ``themes``; a theme that is left out does not occur."""
    scene = Scene(room)
    theme = random.choices(list(THEMES), [themes.get(name, 0) for name in THEMES])[0]
    if theme in ("living", "mixed", "crowded"):
        _living(random, surfaces, scene)
    if theme in ("dining", "mixed", "crowded") and (theme != "mixed" or random.random() < 0.6):
        _dining(random, surfaces, scene)
    if theme == "office":
        _office(random, surfaces, scene)
    loose = {"crowded": 5, "mixed": 3}.get(theme, 2)
    for _ in range(random.randint(0, loose)):
        _stand(random, scene, *seating.chair(random, surfaces), CHAIR, turn=random.uniform(0, 2 * math.pi))
    for _ in range(random.choices([0, 1, 2, 3], [2, 4, 3, 1])[0]):
        plant = props.potted_plant(random, surfaces, size=random.uniform(0.5, 1.6))
        _stand(random, scene, *plant, PLANT, turn=random.uniform(0, 6))
    for _ in range(random.randint(0, 2)):
        if random.random() < 0.25:
            _stand(random, scene, *props.bottle(random, surfaces, height=random.uniform(0.3, 0.55)), BOTTLE)
    for _ in range(random.randint(0, 3)):
        made, _ = props.clutter(random, surfaces)
        _stand(random, scene, made, "clutter", 0, turn=random.choice([0, math.pi / 2, math.pi, random.uniform(0, 6)]))
    return scene


def _living(r: Random, surfaces: Surfaces, scene: Scene) -> None:
    room = scene.room
    for k in range(r.choices([1, 2], [7, 3])[0]):
        made, subtype = seating.sofa(r, surfaces)
        if k == 0 and r.random() < 0.6:
            _stand(r, scene, made, subtype, SOFA, at=(r.uniform(-0.8, 0.8), room.depth / 2 - 0.6), turn=r.gauss(0, 0.06))
        else:
            _stand(r, scene, made, subtype, SOFA, turn=r.choice([math.pi / 2, -math.pi / 2, r.uniform(-1, 1)]))
    for _ in range(r.choices([0, 1, 2], [3, 5, 2])[0]):
        _stand(r, scene, *seating.armchair(r, surfaces), CHAIR, turn=r.uniform(-1.8, 1.8))
    if r.random() < 0.45:
        made, size = tables.coffee_table(r, surfaces)
        if _stand(r, scene, made, "coffee table", 0, at=(r.uniform(-0.5, 0.5), r.uniform(-0.4, 0.7)), turn=r.gauss(0, 0.1)):
            _set_table(r, surfaces, scene, made, size, bottles=(0, 2))
    if r.random() < 0.6:
        made, size = tables.console(r, surfaces)
        side = r.choice([-1, 1])
        place = [
            (r.uniform(-1, 1), room.depth / 2 - 0.3, 0.0),
            (side * (room.width / 2 - 0.3), r.uniform(-0.6, 1.0), -side * math.pi / 2),
        ]
        x, y, turn = r.choice(place)
        if _stand(r, scene, made, "console", 0, at=(x, y), turn=turn):
            _put_on(scene, *props.television(r, surfaces, width=r.uniform(0.7, 1.3)), TV, made, (0, 0.05), size[2])


def _dining(r: Random, surfaces: Surfaces, scene: Scene) -> None:
    made, subtype, size = tables.dining_table(r, surfaces)
    turn = r.choice([0, math.pi / 2, r.uniform(0, math.pi)])
    if not _stand(r, scene, made, subtype, TABLE, at=(r.uniform(-0.9, 0.9), r.uniform(-0.4, 1.0)), turn=turn):
        return
    _set_table(r, surfaces, scene, made, size, bottles=(0, 4))
    seed = r.randint(0, 1 << 30)
    places = [(x * size[0] / 4 if size[0] > 1.3 else 0.0, side) for side in (-1, 1) for x in ((-1, 1) if size[0] > 1.3 else (0,))]
    spots = [(x, side * (size[1] / 2 + r.uniform(-0.1, 0.3)), 0.0 if side > 0 else math.pi) for x, side in places]
    spots += [(side * (size[0] / 2 + r.uniform(0, 0.3)), 0.0, -side * math.pi / 2) for side in (-1, 1)]
    kind = r.choice([seating.dining_chair, seating.dining_chair, seating.shell_chair, seating.cantilever_chair])
    for x, y, facing in spots:
        if r.random() < 0.7:
            # The same stream for each seat makes a set of equal chairs, as tables have them.
            chair, name = kind(Random(seed), Surfaces(Random(seed)))
            place = made.matrix_world @ Vector((x, y, 0))
            _place(scene, chair, name, CHAIR, (place.x, place.y), turn + facing + r.gauss(0, 0.15))


def _office(r: Random, surfaces: Surfaces, scene: Scene) -> None:
    made, size = tables.desk(r, surfaces)
    side = r.choice([-1, 0, 1])
    room = scene.room
    spots = {0: (r.uniform(-1, 1), room.depth / 2 - 0.4, 0.0)}
    for s in (-1, 1):
        spots[s] = (s * (room.width / 2 - 0.4), r.uniform(-0.5, 1.0), -s * math.pi / 2)
    x, y, turn = spots[side]
    if not _stand(r, scene, made, "desk", 0, at=(x, y), turn=turn):
        return
    for offset in (-0.3, 0.3) if r.random() < 0.3 else (r.uniform(-0.2, 0.2),):
        _put_on(scene, *props.television(r, surfaces, width=r.uniform(0.45, 0.65)), TV, made, (offset, 0.1), size[2] + 0.015)
    if r.random() < 0.5:
        plant = props.potted_plant(r, surfaces, size=r.uniform(0.25, 0.45))
        _put_on(scene, *plant, PLANT, made, (size[0] * 0.4, 0.05), size[2] + 0.015)
    if r.random() < 0.4:
        _put_on(
            scene,
            *props.bottle(r, surfaces, height=r.uniform(0.22, 0.32)),
            BOTTLE,
            made,
            (-size[0] * 0.4, -0.05),
            size[2] + 0.015,
        )
    chair, name = (seating.office_chair if r.random() < 0.8 else seating.chair)(r, surfaces)
    place = made.matrix_world @ Vector((r.uniform(-0.2, 0.2), -r.uniform(0.45, 0.8), 0))
    _place(scene, chair, name, CHAIR, (place.x, place.y), turn + math.pi + r.uniform(-1, 1))


def _set_table(
    r: Random,
    surfaces: Surfaces,
    scene: Scene,
    table: bpy.types.Object,
    size: tuple[float, float, float],
    *,
    bottles: tuple[int, int],
) -> None:
    for _ in range(r.randint(*bottles)):
        at = r.uniform(-0.4, 0.4) * size[0] * 0.8, r.uniform(-0.4, 0.4) * size[1] * 0.8
        _put_on(scene, *props.bottle(r, surfaces, height=r.uniform(0.24, 0.42)), BOTTLE, table, at, size[2])
    if r.random() < 0.3:
        at = r.uniform(-0.3, 0.3) * size[0], r.uniform(-0.3, 0.3) * size[1]
        _put_on(scene, *props.potted_plant(r, surfaces, size=r.uniform(0.25, 0.5)), PLANT, table, at, size[2])
    for _ in range(r.randint(0, 4)):
        at = r.uniform(-0.4, 0.4) * size[0] * 0.85, r.uniform(-0.4, 0.4) * size[1] * 0.85
        _put_on(scene, props.tabletop(r, surfaces), "tabletop", 0, table, at, size[2])


def _stand(
    r: Random,
    scene: Scene,
    made: bpy.types.Object,
    subtype: str,
    voc_id: int,
    *,
    at: tuple[float, float] | None = None,
    turn: float = 0.0,
) -> bool:
    """Stand an object on free floor, near ``at`` where given; removes it and returns False if there is no room."""
    for attempt in range(30):
        spread = 0.12 * attempt
        if at is not None:
            x, y = at[0] + r.uniform(-spread, spread), at[1] + r.uniform(-spread, spread)
        else:
            x, y = r.uniform(-0.5, 0.5) * (scene.room.width - 0.6), r.uniform(-0.42, 0.5) * (scene.room.depth - 0.6)
        if _fits(scene, _ground_box(made, x, y, turn)):
            _place(scene, made, subtype, voc_id, (x, y), turn)
            return True
    bpy.data.objects.remove(made)
    return False


def _place(scene: Scene, made: bpy.types.Object, subtype: str, voc_id: int, at: tuple[float, float], turn: float) -> None:
    made.location, made.rotation_euler = (*at, 0), (0, 0, turn)
    bpy.context.view_layer.update()
    scene.boxes.append(_ground_box(made, *at, turn))
    if voc_id:
        scene.things.append(Thing(made, voc_id, subtype))


def _put_on(
    scene: Scene,
    made: bpy.types.Object,
    subtype: str,
    voc_id: int,
    base: bpy.types.Object,
    at: tuple[float, float],
    height: float,
) -> None:
    place = base.matrix_world @ Vector((*at, height))
    made.location, made.rotation_euler = place, (0, 0, base.rotation_euler.z)
    bpy.context.view_layer.update()
    if voc_id:
        scene.things.append(Thing(made, voc_id, subtype))


def _ground_box(made: bpy.types.Object, x: float, y: float, turn: float) -> tuple[float, float, float, float]:
    cosine, sine = math.cos(turn), math.sin(turn)
    corners = [(x + cosine * c[0] - sine * c[1], y + sine * c[0] + cosine * c[1]) for c in made.bound_box]
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _fits(scene: Scene, box: tuple[float, float, float, float]) -> bool:
    w, d = scene.room.width / 2 + 0.02, scene.room.depth / 2 + 0.02
    if box[0] < -w or box[2] > w or box[1] < -d or box[3] > d:
        return False
    return all(box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in scene.boxes)


def aim_camera(random: Random, scene: Scene) -> bpy.types.Object:
    """Put a camera at standing or sitting height where it sees something; sometimes close to a small thing."""
    r = random
    data = bpy.data.cameras.new("camera")
    data.angle = math.radians(r.uniform(42, 72))
    camera = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    middles = [
        thing.object.matrix_world @ (sum((Vector(c) for c in thing.object.bound_box), Vector()) / 8) for thing in scene.things
    ]
    best: tuple[float, Vector, Vector] | None = None
    for _ in range(60):
        index = r.randrange(len(middles))
        target = middles[index] + Vector((r.gauss(0, 0.25), r.gauss(0, 0.25), r.gauss(0, 0.12)))
        close = scene.things[index].voc_id in (BOTTLE, PLANT, TV) and r.random() < 0.6
        distance, angle = r.uniform(0.7, 1.6) if close else r.uniform(1.5, 4.2), r.uniform(0, 2 * math.pi)
        height = target.z + r.uniform(0.05, 0.5) if close else r.uniform(0.8, 1.9)
        place = Vector((target.x + distance * math.cos(angle), target.y + distance * math.sin(angle), height))
        if abs(place.x) > scene.room.width / 2 - 0.2 or abs(place.y) > scene.room.depth / 2 - 0.2:
            continue
        if any(b[0] - 0.3 < place.x < b[2] + 0.3 and b[1] - 0.3 < place.y < b[3] + 0.3 for b in scene.boxes) and not (
            close and height > 1.1
        ):
            continue
        view = (target - place).normalized()
        inside = sum(view.angle((m - place).normalized(), 3.0) < data.angle / 2.2 for m in middles if (m - place).length > 0.5)
        score = inside + (1.5 if close else 0) + r.uniform(0, 2.5)
        if best is None or score > best[0]:
            best = score, place, target
    if best is None:
        best = 0.0, Vector((0, -scene.room.depth / 2 + 0.25, 1.5)), middles[0]
    _, camera.location, target = best
    camera.rotation_euler = (target - camera.location).to_track_quat("-Z", "Y").to_euler()
    camera.rotation_euler.y += r.gauss(0, 0.03)
    data.clip_start = 0.05
    if r.random() < 0.25:
        data.dof.use_dof = True
        data.dof.focus_distance = (target - camera.location).length
        data.dof.aperture_fstop = r.uniform(0.8, 2.8)
    bpy.context.view_layer.update()
    return camera
