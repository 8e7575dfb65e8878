"""Outlines in unit coordinates: the few shapes that every drawing is made of.

A drawing is a list of `Layer`s, painted one over the other. A layer is one or more outlines that share a
*role* ("the main colour", "skin", "ink"); which colour a role gets is decided much later, so one drawing
serves all colours. Units: u runs to the right, v runs up; (0, 0) is the middle of the thing's lower edge
and v = 1 is its nominal height. Nothing here knows about pixels.
"""

import math
from dataclasses import dataclass

import numpy as np

# Roles, in the order of the rows of a palette (see `styles.palette`); "nothing" is 0.
ROLES = (
    "nothing", "ink", "main", "dark", "light", "pattern", "accent", "skin", "hair", "white",
    "metal", "tyre", "glass", "wood", "leaf", "glow", "beak", "shadow", "hatch",
)  # fmt: skip
ROLE = {name: number for number, name in enumerate(ROLES)}

Points = np.ndarray  # float [points, 2], a closed outline as (u, v)


@dataclass(frozen=True)
class Layer:
    """Outlines painted together: first the ink around all of them, then all their fills.

    Because ink comes first, outlines of one layer that overlap melt into one form without inner lines.
    """

    role: str
    outlines: tuple[Points, ...]
    ink: bool = True


def inked(role: str, *outlines: Points) -> Layer:
    """A layer with a thin dark line around it."""
    return Layer(role, outlines)


def plain(role: str, *outlines: Points) -> Layer:
    """A layer without a line around it: eyes, highlights, thin lines."""
    return Layer(role, outlines, ink=False)


def rotated(points: Points, by: int) -> Points:
    """The same closed outline, starting `by` points later (np.roll, at a fifth of its price on a few points)."""
    return np.concatenate([points[by:], points[:by]])


def ellipse(u: float, v: float, ru: float, rv: float | None = None, turn: float = 0.0) -> Points:
    """An ellipse around (u, v); `turn` in degrees, counter-clockwise."""
    angle = np.linspace(0, 2 * math.pi, 32, endpoint=False)
    points = np.stack([ru * np.cos(angle), (ru if rv is None else rv) * np.sin(angle)], axis=1)
    return turned(points, turn) + (u, v)


def turned(points: Points, degrees: float, about: tuple[float, float] = (0.0, 0.0)) -> Points:
    """The outline turned counter-clockwise about a point."""
    if not degrees:
        return points
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - about) @ np.array([[c, s], [-s, c]]) + about


def polygon(*corners: tuple[float, float]) -> Points:
    """Straight edges between corners."""
    return np.array(corners, dtype=float)


def path(text: str, u: float = 0.0, v: float = 0.0) -> list[tuple[float, float]]:
    """The corners that a text such as "-0.5,0.5 0,0.9" lists (SVG's `points`), counted from (u, v)."""
    pairs = (corner.split(",") for corner in text.split())
    return [(u + float(one), v + float(other)) for one, other in pairs]


def box(u0: float, v0: float, u1: float, v1: float, radius: float = 0.0) -> Points:
    """An upright rectangle, with round corners when `radius` is given."""
    if not radius:
        return polygon((u0, v0), (u1, v0), (u1, v1), (u0, v1))
    quarter = np.linspace(0, math.pi / 2, 6)
    arc = np.stack([np.cos(quarter), np.sin(quarter)], axis=1) * radius
    corners = [
        arc + (u1 - radius, v1 - radius),
        turned(arc, 90.0) + (u0 + radius, v1 - radius),
        turned(arc, 180.0) + (u0 + radius, v0 + radius),
        turned(arc, 270.0) + (u1 - radius, v0 + radius),
    ]
    return np.concatenate(corners)


def smooth(*corners: tuple[float, float], steps: int = 6) -> Points:
    """A closed round curve through the corners (uniform Catmull-Rom spline)."""
    p = np.array(corners, dtype=float)
    before, after, after2 = rotated(p, -1), rotated(p, 1), rotated(p, 2)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (q[:, None, :] for q in (before, p, after, after2))
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return curve.reshape(-1, 2) / 2


def limb(a: tuple[float, float], b: tuple[float, float], wide_a: float, wide_b: float | None = None) -> Points:
    """A sausage from a to b, `wide_a` and `wide_b` across at its ends: arms, legs, tails, bodies."""
    wide_b = wide_a if wide_b is None else wide_b
    direction = math.atan2(b[1] - a[1], b[0] - a[0])
    half = np.linspace(math.pi / 2, 3 * math.pi / 2, 9) + direction
    end_a = np.stack([np.cos(half), np.sin(half)], axis=1) * wide_a / 2 + a
    end_b = np.stack([np.cos(half + math.pi), np.sin(half + math.pi)], axis=1) * wide_b / 2 + b
    return np.concatenate([end_a, end_b])


def bend(*joints: tuple[float, float], wide: float, tip: float | None = None) -> tuple[Points, ...]:
    """A bent limb through several joints, growing from `wide` to `tip` across."""
    widths = np.linspace(wide, wide if tip is None else tip, len(joints))
    return tuple(limb(joints[i], joints[i + 1], widths[i], widths[i + 1]) for i in range(len(joints) - 1))


def ring(u: float, v: float, outer: float, inner: float) -> Points:
    """A ring as one outline: out along the rim, back along the hole."""
    angle = np.linspace(0, 2 * math.pi, 33)
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([rim * outer, rim[::-1] * inner]) + (u, v)


def grown(outline: Points, by: float) -> Points:
    """The outline moved outwards by `by`: the ink line is this shape under the fill."""
    ahead = rotated(outline, 1) - outline
    length = np.hypot(ahead[:, 0], ahead[:, 1])
    outline, ahead, length = outline[length > 1e-9], ahead[length > 1e-9], length[length > 1e-9]
    ahead = ahead / length[:, None]
    x, y = outline[:, 0], outline[:, 1]
    area = np.dot(x, rotated(y, 1)) - np.dot(y, rotated(x, 1))
    normal = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1) * (1 if area > 0 else -1)
    corner = normal + rotated(normal, -1)
    # The exact mitre is 2 / |corner|^2; sharp corners would shoot out, so it is capped.
    mitre = 2 / np.maximum((corner**2).sum(1), 0.8)
    return outline + corner * (mitre * by)[:, None]
