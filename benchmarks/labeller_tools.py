"""What the hand and the tools offer the simulated labeller of ``strokes.py``.

Each function yields its offers. One that cannot win more than the best so far (:class:`labeller_case.Most`) is left out; this
changes no choice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import cv2
import numpy as np
from labeller_case import CATALOG, CLICK, DIRECTIONS, STROKE_SPEED, TRACE_SPEED, Case, Most, Offer, Target

from app.state.edits.raster import capsule_spans
from deeplab_core.correction import BANDS, FLOODED, LEVELS, REACHES, SMOOTHNESS, Corrector, Proposal
from deeplab_core.geometry import Box
from deeplab_core.labels import Provenance
from deeplab_core.regions import find_regions

#: Standard deviation of an unsteady hand, and over how many px its error is alike.
SHAKE, SMOOTH = 1.5, 12.0
#: Radii of the brush, as shares of the depth of the component.
RADII = (0.4, 0.6, 0.8, 1.0, 1.3)
#: Outlines deeper than this do not belong to a border.
BORDER_DEPTH = 15.0
#: Limits of "drop islands" that a labeller tries, px.
ISLANDS = (100, 500)
#: Width of a scribble's stroke, of the brush's.
THINNER = 0.7
#: What a second press (Enter, or a click on what is shown) takes, s.
CONFIRM = 1.0


# What the hand draws


def painted(shape: tuple[int, int], start: np.ndarray, end: np.ndarray, radius: float) -> tuple[Box, np.ndarray] | None:
    mask = np.zeros(shape, bool)
    box = None
    for rect, where in capsule_spans(tuple(start), tuple(end), radius, shape).masks():
        mask[rect.slices] |= where
        box = rect if box is None else box.united(rect)
    return None if box is None else (box, mask)


def strokes(target: Target, gain: np.ndarray) -> Iterator[tuple[float, np.ndarray, np.ndarray, float]]:
    """The most promising straight strokes: estimated gain, both ends and radius."""
    height, width = gain.shape
    centre = np.array([target.x + 0.5, target.y + 0.5])
    radii = [max(0.5, share * target.depth) for share in RADII]
    widest = int(np.ceil(max(radii))) + 1
    longest = int(np.hypot(target.box.width, target.box.height)) + 2 * widest
    along, across = np.arange(-longest, longest + 1), np.arange(-widest, widest + 1)
    yield float(gain[target.y, target.x]), centre, centre, 0.5
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        u, n = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        places = centre + along[:, None, None] * u + across[None, :, None] * n
        columns, rows = np.floor(places[..., 0]).astype(int), np.floor(places[..., 1]).astype(int)
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        strip = np.where(inside, gain[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)], 0)
        sums = np.concatenate([np.zeros((len(along), 1), int), strip.cumsum(axis=1)], axis=1)
        for radius in radii:
            reach = int(radius)
            line = sums[:, widest + reach + 1] - sums[:, widest - reach]
            ahead, behind = line[longest:].cumsum(), line[longest::-1].cumsum()
            a, b = int(behind.argmax()), int(ahead.argmax())
            a, b = (max(end - reach // 2, 0) for end in (a, b))
            yield float(ahead[b] + behind[a] - line[longest]), centre - a * u, centre + b * u, radius


def brush(target: Target, labels: np.ndarray, only: bool) -> Iterator[Offer]:
    here = labels == labels[target.y, target.x]
    gain = np.where(here, target.gain, 0) if only else target.gain
    for _, start, end, radius in sorted(strokes(target, gain), key=lambda each: -each[0])[:4]:
        found = painted(labels.shape, start, end, radius)
        if found is not None:
            proposal = Proposal(found[1], target.cls, int(Provenance.USER), found[0])
            seconds = CLICK + float(np.hypot(*(end - start))) / STROKE_SPEED
            chosen = proposal.only(here) if only else proposal
            if chosen is not None:
                yield Offer("over" if only else "brush", chosen, seconds, drawn=True)


def freehand(case: Case, target: Target, labels: np.ndarray) -> Iterator[Offer]:
    """One line of constant radius that covers what it can reach without leaving the component (or over void)."""
    outer = target.box.grown(2, labels.shape)
    free = target.gain[outer.slices] >= 0
    inner = np.zeros(free.shape, bool)
    inner[target.box.y - outer.y :, target.box.x - outer.x :][: target.box.height, : target.box.width] = target.mask
    free &= inner | (case.truth[outer.slices] == CATALOG.ignore)
    depth = cv2.distanceTransform(np.pad(free, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    for share in (0.15, 0.25, 0.4, 0.6, 0.8):
        radius = max(0.5, share * target.depth)
        _, numbers = cv2.connectedComponents((depth >= radius).astype(np.uint8), connectivity=8)
        own = numbers[target.y - outer.y, target.x - outer.x]
        if not own:
            continue
        away = cv2.distanceTransform((numbers != own).astype(np.uint8), cv2.DIST_L2, 5)
        mask = np.zeros(labels.shape, bool)
        mask[outer.slices] = (away < radius) & free
        length = mask[outer.slices].sum() / (2 * radius)
        yield Offer("freehand", Proposal(mask, target.cls, 3, outer), CLICK + float(length) / STROKE_SPEED, drawn=True)


def outline_of(target: Target) -> np.ndarray | None:
    contours, _ = cv2.findContours(target.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # The outline of pixels, half a pixel outside of their centres.
    points = max(contours, key=len)[:, 0].astype(float)
    if len(points) < 3:
        return None
    big = cv2.resize(np.pad(target.mask, 1).astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(big, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    traced = cv2.approxPolyDP(max(contours, key=len).astype(np.float32), 3.0 * 2 / 3, True)[:, 0]
    return (traced + 0.5) / 2 - 1 + (target.box.x, target.box.y) if len(traced) > 2 else None


def shaken(points: np.ndarray, rng: np.random.Generator, closed: bool = True) -> np.ndarray:
    """A path as an unsteady hand draws it: sampled at every px, each point moved by a smooth error."""
    whole = np.concatenate([points, points[:1]]) if closed else points
    lengths = np.hypot(*np.diff(whole, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.linspace(0, along[-1], max(int(along[-1]), 3), endpoint=not closed)
    dense = np.stack([np.interp(at, along, whole[:, axis]) for axis in (0, 1)], axis=1)
    noise = np.stack([smooth_noise((1, len(dense)), rng)[0] for _ in range(2)], axis=1)
    return dense + noise


def within(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A path that a hand led beyond the image, along its edge instead: a window takes no pixel from outside."""
    return np.clip(points, 0, (size[1] - 1, size[0] - 1))


def smooth_noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    raw = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), SMOOTH, borderType=cv2.BORDER_REFLECT)
    return SHAKE * raw / max(float(raw.std()), 1e-6) if raw.size > 200 else SHAKE * rng.normal() + 0 * raw


def shaken_mask(proposal: Proposal, rng: np.random.Generator) -> Proposal | None:
    """A drawn area with its outline moved by a smooth error."""
    box = proposal.bounds.grown(8, proposal.mask.shape)
    part = proposal.mask[box.slices].astype(np.uint8)
    y, x = np.mgrid[: box.height, : box.width].astype(np.float32)
    dx, dy = smooth_noise(part.shape, rng), smooth_noise(part.shape, rng)
    moved = cv2.remap(part, x + dx.astype(np.float32), y + dy.astype(np.float32), cv2.INTER_NEAREST).astype(bool)
    return Proposal.within(proposal.mask.shape, box, moved, proposal.labels, proposal.provenance)


def lassos(target: Target, corrector: Corrector, rng: np.random.Generator | None, snapping: bool) -> Iterator[Offer]:
    points = outline_of(target)
    if points is None:
        return
    seconds = CLICK + float(np.hypot(*np.diff(np.concatenate([points, points[:1]]), axis=0).T).sum()) / TRACE_SPEED
    if rng is not None:
        points = shaken(points, rng)
    for snap in (2, 4, 8) if snapping else (0,):
        proposal = corrector.lasso(points, target.cls, snap=snap)
        if proposal is not None:
            yield Offer("snapping lasso" if snapping else "lasso", proposal, seconds)


def exact(target: Target, shape: tuple[int, int]) -> Iterator[Offer]:
    """The bound of every tool that works on one component: all of its pixels, and no others."""
    proposal = Proposal.within(shape, target.box, target.mask, target.cls, int(Provenance.USER))
    if proposal is not None:
        yield Offer("exact", proposal, CLICK)


def exact_object(case: Case, target: Target, corrector: Corrector) -> Iterator[Offer]:
    """The bound of every tool that works on one object: it, and all that is taken for it, becomes as the truth has it."""
    labels = corrector.labels
    if target.cls == CATALOG.background:
        _, numbers = cv2.connectedComponents((labels == labels[target.y, target.x]).astype(np.uint8), connectivity=8)
        mask = numbers == numbers[target.y, target.x]
    else:
        _, numbers = cv2.connectedComponents((case.truth == target.cls).astype(np.uint8), connectivity=8)
        mask = numbers == numbers[target.y, target.x]
        _, numbers = cv2.connectedComponents((labels == target.cls).astype(np.uint8), connectivity=8)
        mask |= np.isin(numbers, np.setdiff1d(numbers[mask], [0]))
    yield Offer("exact object", Proposal(mask & case.valid, case.truth, int(Provenance.USER)), CLICK)


# What the tools offer


def offered(tool: str, proposals: Iterator[Proposal | None], seconds: float) -> Iterator[Offer]:
    for proposal in proposals:
        if proposal is not None:
            yield Offer(tool, proposal, seconds)


def component_tools(case: Case, target: Target, corrector: Corrector, most: Most) -> Iterator[Offer]:
    x, y, cls = target.x + 0.5, target.y + 0.5, target.cls
    here = int(corrector.labels[target.y, target.x])

    def proposals() -> Iterator[Proposal | None]:
        yield corrector.component_at(x, y, cls)
        if target.depth >= BORDER_DEPTH:
            return
        if most.beaten_by(wrong_in_islands(case, corrector.labels)):
            for pixels in ISLANDS:
                yield corrector.drop_islands(pixels)
        yield corrector.fill_holes(cls, 10_000)
        if here != CATALOG.ignore:
            yield corrector.keep_largest(here)
            yield corrector.drop_islands(corrector.labels.size, here)
        for each in (here, cls):
            if each != CATALOG.ignore:
                for px in (1, 2):
                    yield corrector.grow(px, each)
                    yield corrector.shrink(px, each)
        for px in SMOOTHNESS:
            yield corrector.smooth(px)

    # All but the first are commands that ask for a number: choose it, press Enter.
    for n, proposal in enumerate(proposals()):
        if proposal is not None:
            yield Offer("components", proposal, CLICK if n == 0 else CLICK + CONFIRM)


def wrong_in_islands(case: Case, labels: np.ndarray) -> int:
    """Wrong pixels of all components that "drop islands" looks at: it cannot win more."""
    found = find_regions(labels, labels != CATALOG.ignore)
    wrong = np.bincount(found.numbers[case.valid & (labels != case.truth)], minlength=len(found) + 1)[1:]
    return int(wrong[found.pixels < max(ISLANDS)].sum())


def with_over(offers: Iterator[Offer], labels: np.ndarray, target: Target, over: bool) -> Iterator[Offer]:
    """Each offer, and its part over the class at the pointer."""
    for offer in offers:
        yield offer
        part = offer.proposal.only(labels == labels[target.y, target.x]) if over else None
        if part is not None:
            yield Offer(offer.tool, part, offer.seconds, offer.drawn)


def region_clicks(target: Target, corrector: Corrector) -> Iterator[Offer]:
    proposals = (corrector.region_at(target.x + 0.5, target.y + 0.5, level, target.cls) for level in range(LEVELS))
    return offered("regions", proposals, CLICK)


def network_clicks(case: Case, target: Target, corrector: Corrector, labels: np.ndarray) -> Iterator[Offer]:
    """One click of the click network, any candidate of the wheel: on the true class, or away from the class that is there if the
    truth is background.
    """
    if case.click_model is None:
        raise SystemExit("a row with the click network needs --click-model FILE")
    here = int(labels[target.y, target.x])
    positive = target.cls != CATALOG.background or here == CATALOG.ignore
    proposals = corrector.click([(target.x + 0.5, target.y + 0.5)], [positive], target.cls if positive else here)
    yield from offered("clicks", iter(proposals or ()), CLICK)


def region_strokes(
    target: Target, corrector: Corrector, labels: np.ndarray, over: bool, rng: np.random.Generator | None
) -> Iterator[Offer]:
    """The best two of all levels and directions, by the sums of their leaves."""
    hierarchy = corrector.hierarchy
    here = labels == labels[target.y, target.x]
    lines = []
    for start, end in target.rays:
        line = start + np.linspace(0, 1, max(int(np.hypot(*(end - start))), 1) + 1)[:, None] * (end - start)
        columns, rows = np.minimum(np.floor(line).astype(int), np.array(labels.shape[::-1]) - 1).T
        lines.append(np.unique(hierarchy.leaves[rows, columns]))
    found = []
    for only in (False, True) if over else (False,):
        gain = np.where(here, target.gain, 0) if only else target.gain
        sums = np.bincount(hierarchy.leaves.ravel(), weights=gain.ravel(), minlength=hierarchy.cuts.shape[1])
        for level in range(LEVELS):
            nodes = np.bincount(hierarchy.cuts[level], weights=sums, minlength=len(hierarchy.parents))
            cut = hierarchy.cuts[level]
            for leaves, ray in zip(lines, target.rays, strict=True):
                crossed = sorted(set(cut[leaves].tolist()))
                found.append((-nodes[crossed].sum(), len(found), level, only, ray))
    for _, _, level, only, ray in sorted(found, key=lambda each: each[:2])[:2]:
        path = np.stack(ray)
        seconds = CLICK + float(np.hypot(*(path[1] - path[0]))) / STROKE_SPEED
        drawn = path if rng is None else within(shaken(path, rng, closed=False), corrector.labels.shape)
        proposal = corrector.regions_along(drawn, level, target.cls)
        if proposal is not None and only:
            proposal = proposal.only(here)
        if proposal is not None:
            yield Offer("region strokes", proposal, seconds)


def scribbles(target: Target, corrector: Corrector, labels: np.ndarray, rng: np.random.Generator | None) -> Iterator[Offer]:
    """The best straight stroke over the class at the pointer, drawn thinner, at every reach that suits the component."""
    gain = np.where(labels == labels[target.y, target.x], target.gain, 0)
    _, start, end, radius = max(strokes(target, gain), key=lambda each: each[0])
    seconds = CLICK + float(np.hypot(*(end - start))) / STROKE_SPEED
    line = np.stack([start, end])
    if rng is not None:
        line = within(shaken(line, rng, closed=False), corrector.labels.shape)
    # Begins on the pointer, so that the class there is the one that is taken from.
    path = np.concatenate([[(target.x + 0.5, target.y + 0.5)], line])
    # A labeller does not try a reach many times as wide as what is to be turned.
    reaches = [reach for reach in REACHES if reach <= max(REACHES[1], 6 * target.depth)]
    diameter = max(1.0, 2 * THINNER * radius)
    return offered("scribble", (corrector.scribble(path, target.cls, reach, diameter) for reach in reaches), seconds)


def border_tools(case: Case, target: Target, corrector: Corrector, most: Most) -> Iterator[Offer]:
    """On the component under the pointer, and on the nearest one of the true class."""
    labels = corrector.labels
    if target.depth >= BORDER_DEPTH:
        return
    places = [(target.x, target.y)]
    outer = Box(target.x, target.y, 1, 1).grown(round(2 * BORDER_DEPTH), labels.shape)
    rows, columns = np.nonzero(labels[outer.slices] == target.cls)
    if rows.size:
        near = int(((rows + outer.y - target.y) ** 2 + (columns + outer.x - target.x) ** 2).argmin())
        places.append((int(columns[near]) + outer.x, int(rows[near]) + outer.y))
    wrong = case.valid & (labels != case.truth)
    for x, y in places:
        # A border is that of the object, not of the ground around it.
        if labels[y, x] != CATALOG.background:
            for proposal in borders(corrector, x + 0.5, y + 0.5, target.depth, wrong, most):
                if proposal is not None:
                    yield Offer("border", proposal, CLICK + CONFIRM)


def borders(corrector: Corrector, x: float, y: float, depth: float, wrong: np.ndarray, most: Most) -> Iterator[Proposal | None]:
    """Every way to move the border of the component under a point."""
    box, mask = corrector.component_mask(x, y)
    whole = np.zeros(corrector.size, bool)
    whole[box.slices] = mask
    cls = int(corrector.labels[int(y), int(x)])
    for px in SMOOTHNESS:
        yield corrector.smooth(px, cls, whole)
    outer = box.grown(max(*BANDS, *FLOODED) + 1, corrector.size)
    inside = whole[outer.slices].view(np.uint8)
    apart = cv2.distanceTransform(inside, cv2.DIST_L2, 5) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    errors = np.sort(apart[wrong[outer.slices]])
    for by, widths in (("edges", FLOODED), ("colours", BANDS)):
        for band in widths:
            # It wins at most the wrong pixels of the band.
            if band <= max(widths[0], 2 * depth) and most.beaten_by(int(np.searchsorted(errors, band + 2))):
                yield corrector.snap_border(x, y, band, by)


def lines_only(tools: Collection[str]) -> bool:
    """Whether no tool needs the region hierarchy."""
    return not set(tools) & {"regions", "region strokes"}


def offers_of(
    tool: str, over: bool, case: Case, target: Target, corrector: Corrector, rng: np.random.Generator | None, most: Most
) -> Iterator[Offer]:
    """What one tool offers; ``over``: the labeller also knows "paint only over the class where a stroke begins"."""
    labels = corrector.labels
    makers: dict[str, Callable[[], Iterator[Offer]]] = {
        "brush": lambda: brush(target, labels, False),
        "over": lambda: brush(target, labels, True),
        "freehand": lambda: freehand(case, target, labels),
        "lasso": lambda: lassos(target, corrector, rng, False),
        "snapping lasso": lambda: lassos(target, corrector, rng, True),
        "components": lambda: component_tools(case, target, corrector, most),
        "regions": lambda: with_over(region_clicks(target, corrector), labels, target, over),
        "clicks": lambda: with_over(network_clicks(case, target, corrector, labels), labels, target, over),
        "region strokes": lambda: region_strokes(target, corrector, labels, over, rng),
        "scribble": lambda: scribbles(target, corrector, labels, rng),
        "border": lambda: border_tools(case, target, corrector, most),
        "exact": lambda: exact(target, labels.shape),
        "exact object": lambda: exact_object(case, target, corrector),
    }
    return makers[tool]()
