"""A small path tracer: three unit solids under affine maps, diffuse surfaces, two lamps. Deterministic for a seed.

Each solid is a row of the scene arrays. A ray is mapped into the solid's own frame, where it meets a unit sphere, a unit cube
[-1, 1]^3 or a unit cylinder (radius 1, -1 <= y <= 1); the map is affine, so the ray parameter is the same in both frames.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

SPHERE, CUBE, CYLINDER = 0, 1, 2
PLAIN, WOOD, WEAVE, PLANKS, GLOW = 0, 1, 2, 3, 4
FAR = 1e9
#: Squared distance in m^2 below which lamps grow no brighter: the square law would strew bright grains over the picture.
NEAR = 0.5


@numba.njit
def _random(state):
    """One xorshift64* step: new state and a float in [0, 1)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state, ((state * np.uint64(2685821657736338717)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit
def _slab(origin, direction):
    """Entry and exit of the ray through -1 <= x <= 1 along one axis."""
    if abs(direction) < 1e-12:
        return (-FAR, FAR) if abs(origin) <= 1 else (FAR, -FAR)
    first, second = (-1 - origin) / direction, (1 - origin) / direction
    return (first, second) if first < second else (second, first)


@numba.njit
def _meet(kind, ox, oy, oz, dx, dy, dz):
    """Nearest positive ray parameter at which a unit solid is met, or FAR; the ray is in the solid's frame."""
    near, far = -FAR, FAR
    if kind != SPHERE:
        near, far = _slab(oy, dy)
    if kind == CUBE:
        for axis in range(2):
            first, second = _slab(ox, dx) if axis == 0 else _slab(oz, dz)
            near, far = max(near, first), min(far, second)
    else:
        a, b, c = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - 1
        if kind == SPHERE:
            a, b, c = a + dy * dy, b + oy * dy, c + oy * oy
        square = b * b - a * c
        if (a < 1e-14 and c > 0) or (a >= 1e-14 and square < 0):
            return FAR
        if a >= 1e-14:
            root = math.sqrt(square)
            near, far = max(near, (-b - root) / a), min(far, (-b + root) / a)
    if near > far or far < 1e-4:
        return FAR
    return near if near > 1e-4 else far


@numba.njit
def _trace(kinds, maps, balls, o, d):
    """Index of the nearest solid along a world ray, and its ray parameter; -1 and FAR where there is none."""
    best, found = FAR, -1
    ox, oy, oz = o
    dx, dy, dz = d
    length = dx * dx + dy * dy + dz * dz
    for i in range(kinds.shape[0]):
        cx, cy, cz = balls[i, 0] - ox, balls[i, 1] - oy, balls[i, 2] - oz
        along = cx * dx + cy * dy + cz * dz
        away = cx * cx + cy * cy + cz * cz
        if away > balls[i, 3] and (along < 0 or away - along * along / length > balls[i, 3]):
            continue
        m = maps[i]
        t = _meet(
            kinds[i],
            m[0, 0] * ox + m[0, 1] * oy + m[0, 2] * oz + m[0, 3],
            m[1, 0] * ox + m[1, 1] * oy + m[1, 2] * oz + m[1, 3],
            m[2, 0] * ox + m[2, 1] * oy + m[2, 2] * oz + m[2, 3],
            m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz,
            m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz,
            m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz,
        )  # fmt: skip
        if t < best:
            best, found = t, i
    return found, best


@numba.njit
def _normal(kind, m, w):
    """Outward unit normal of a solid with the map ``m`` at the world point ``w`` on its surface."""
    x = m[0, 0] * w[0] + m[0, 1] * w[1] + m[0, 2] * w[2] + m[0, 3]
    y = m[1, 0] * w[0] + m[1, 1] * w[1] + m[1, 2] * w[2] + m[1, 3]
    z = m[2, 0] * w[0] + m[2, 1] * w[1] + m[2, 2] * w[2] + m[2, 3]
    if kind == CUBE:
        largest = max(abs(x), abs(y), abs(z))
        x, y, z = (x if abs(x) == largest else 0.0), (y if abs(y) == largest else 0.0), (z if abs(z) == largest else 0.0)
    elif kind == CYLINDER:
        if abs(y) > 1 - 1e-6:
            x, z = 0.0, 0.0
        else:
            y = 0.0
    a = m[0, 0] * x + m[1, 0] * y + m[2, 0] * z
    b = m[0, 1] * x + m[1, 1] * y + m[2, 1] * z
    c = m[0, 2] * x + m[1, 2] * y + m[2, 2] * z
    scale = 1 / math.sqrt(a * a + b * b + c * c)
    return a * scale, b * scale, c * scale


@numba.njit
def _shade(pattern, x, y, z):
    """Factor on a surface's colour at a world point."""
    if pattern == WOOD:
        return 0.88 + 0.12 * math.sin(9 * x + 26 * y + 2.2 * math.sin(5 * z) + 31 * z)
    if pattern == WEAVE:
        return 0.93 + 0.07 * math.sin(95 * x) * math.sin(95 * (y + z))
    if pattern == PLANKS:
        plank = math.floor(x * 4.2)
        shade = 0.86 + 0.14 * math.sin(12.9898 * plank + 78.233 * math.floor(z * 0.9 + 0.37 * plank))
        gap = 0.7 if x * 4.2 - plank < 0.025 else 1.0
        return shade * gap * (0.95 + 0.05 * math.sin(40 * z + 7 * math.sin(3 * x)))
    return 1.0


@numba.njit
def _light(kinds, maps, balls, lamps, o, n, state):
    """Light (3,) that reaches the point ``o`` with normal ``n`` straight from the lamps, by one random point on each."""
    red, green, blue = 0.0, 0.0, 0.0
    for lamp in lamps:
        state, a = _random(state)
        state, b = _random(state)
        x = lamp[0, 0] + a * lamp[1, 0] + b * lamp[2, 0] - o[0]
        y = lamp[0, 1] + a * lamp[1, 1] + b * lamp[2, 1] - o[1]
        z = lamp[0, 2] + a * lamp[1, 2] + b * lamp[2, 2] - o[2]
        up = n[0] * x + n[1] * y + n[2] * z
        if up > 0 and _trace(kinds, maps, balls, o, (x, y, z))[1] > 0.999:
            fx = lamp[1, 1] * lamp[2, 2] - lamp[1, 2] * lamp[2, 1]
            fy = lamp[1, 2] * lamp[2, 0] - lamp[1, 0] * lamp[2, 2]
            fz = lamp[1, 0] * lamp[2, 1] - lamp[1, 1] * lamp[2, 0]
            square = max(x * x + y * y + z * z, NEAR)
            amount = up * abs(fx * x + fy * y + fz * z) / (square * square * math.pi)
            red, green, blue = red + amount * lamp[3, 0], green + amount * lamp[3, 1], blue + amount * lamp[3, 2]
    return state, red, green, blue


@numba.njit(parallel=True)
def render(kinds, maps, balls, colors, patterns, eye, axes, lens, lamps, size, samples, seed):
    """Path-trace a scene.

    Args:
        kinds (N,), maps (N, 3, 4): solids; local = maps[:, :3] @ world + maps[:, 3].
        balls (N, 4): centre and squared radius of a ball around each solid.
        colors (N, 3) linear 0..1, patterns (N,): surfaces; GLOW shows its colour as it is.
        eye (3,), axes (3, 3) rows right, up, forward; lens: half the picture's width at distance 1.
        lamps: (L, 4, 3) corner, two edges and radiance of rectangular lamps, which are not seen themselves.
        size: (H, W); samples per pixel; seed.

    Returns:
        (H, W, 3) float64 linear radiance, and (H, W) int64 index of the solid at each pixel's centre (-1: none).
    """
    height, width = size
    out = np.zeros((height, width, 3))
    hit = np.full((height, width), -1)
    for y in numba.prange(height):
        for x in range(width):
            state = np.uint64(seed * 1000003 + y * 7919 + x * 104729 + 88172645463325252)
            for k in range(samples + 1):
                jx, jy = 0.5, 0.5
                if k:
                    state, jx = _random(state)
                    state, jy = _random(state)
                u, v = ((x + jx) / width * 2 - 1) * lens, (height - 2 * (y + jy)) / width * lens
                d = (
                    u * axes[0, 0] + v * axes[1, 0] + axes[2, 0],
                    u * axes[0, 1] + v * axes[1, 1] + axes[2, 1],
                    u * axes[0, 2] + v * axes[1, 2] + axes[2, 2],
                )
                o = (eye[0], eye[1], eye[2])
                red, green, blue = 1.0, 1.0, 1.0
                for bounce in range(4):
                    i, t = _trace(kinds, maps, balls, o, d)
                    if k == 0:
                        hit[y, x] = i
                        break
                    if i < 0:
                        break
                    if patterns[i] == GLOW:
                        if bounce == 0:  # later bounces get this light from the lamps
                            out[y, x] += colors[i]
                        break
                    w = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
                    n = _normal(kinds[i], maps[i], w)
                    if n[0] * d[0] + n[1] * d[1] + n[2] * d[2] > 0:
                        n = (-n[0], -n[1], -n[2])
                    shade = _shade(patterns[i], w[0], w[1], w[2])
                    red, green, blue = red * shade * colors[i, 0], green * shade * colors[i, 1], blue * shade * colors[i, 2]
                    o = (w[0] + 1e-4 * n[0], w[1] + 1e-4 * n[1], w[2] + 1e-4 * n[2])
                    state, r, g, b = _light(kinds, maps, balls, lamps, o, n, state)
                    out[y, x, 0] += red * r
                    out[y, x, 1] += green * g
                    out[y, x, 2] += blue * b
                    state, a = _random(state)
                    state, rise = _random(state)
                    rise = 2 * rise - 1
                    flat = math.sqrt(1 - rise * rise)
                    d = (n[0] + flat * math.cos(2 * math.pi * a), n[1] + rise, n[2] + flat * math.sin(2 * math.pi * a))
            out[y, x] /= samples
    return out, hit


def tone(radiance: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Linear radiance to sRGB bytes: a soft shoulder (x / (1 + x), lifted), then the sRGB curve approximated by 1/2.2."""
    mapped = 2.2 * radiance / (1 + 1.5 * radiance)
    return (255 * np.clip(mapped, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)
