"""How people are drawn, and where their hands and heads are.

Clothes carry the colour and the pattern. A man wears a shirt and trousers and has short hair; a woman
wears a dress and has long hair: the two outlines differ even where a picture has few pixels.
"""

from mmhallu_core.world.shapes import Layer, bend, ellipse, inked, limb, path, plain, polygon, smooth

HEAD = 0.135  # radius of a head
Point = tuple[float, float]

# For each pose: hip and neck (the torso), middle of the head, both elbows with their hands, both knees with their feet;
# the far arm and leg come first.
STANDING = {
    "hip": (0.0, 0.38),
    "neck": (0.0, 0.66),
    "head": (0.0, 0.83),
    "arms": (((-0.16, 0.52), (-0.21, 0.38)), ((0.16, 0.52), (0.21, 0.38))),
    "legs": (((-0.075, 0.20), (-0.08, 0.03)), ((0.075, 0.20), (0.08, 0.03))),
}
SKELETON: dict[str, dict] = {
    "standing": STANDING,
    "waving": STANDING | {"arms": (((-0.16, 0.52), (-0.21, 0.38)), ((0.23, 0.68), (0.27, 0.93)))},
    "sitting": {
        "hip": (-0.10, 0.12),
        "neck": (-0.10, 0.41),
        "head": (-0.09, 0.58),
        "arms": (((-0.26, 0.26), (-0.25, 0.08)), ((0.06, 0.26), (0.16, 0.24))),
        "legs": (((0.12, 0.22), (0.27, 0.04)), ((0.15, 0.14), (0.32, 0.04))),
    },
    "running": {
        "hip": (-0.03, 0.38),
        "neck": (0.07, 0.64),
        "head": (0.14, 0.80),
        "arms": (((-0.13, 0.52), (-0.24, 0.62)), ((0.17, 0.47), (0.29, 0.55))),
        "legs": (((-0.16, 0.24), (-0.33, 0.22)), ((0.17, 0.30), (0.19, 0.05))),
    },
}


def anchors(pose: str) -> tuple[Point, Point, Point]:
    """Where the head, the carrying hand and the other hand are, in units of the person's height.

    The hand that carries never waves.
    """
    bones = SKELETON[pose]
    (_, far), (_, near) = bones["arms"]
    return bones["head"], far if pose == "waving" else near, far


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _arm(shoulder: Point, elbow: Point, hand: Point, sleeve: int) -> list[Layer]:
    """A sleeve to the elbow, then skin and a hand."""
    return [
        inked("skin", limb(elbow, hand, 0.07), ellipse(*hand, 0.05)),
        inked(sleeve, *bend(shoulder, elbow, wide=0.10, tip=0.09)),
    ]


def _foot(foot: Point, length: float = 0.075) -> Layer:
    """A shoe that points to the right."""
    return inked("ink", limb((foot[0] - 0.01, foot[1]), (foot[0] + length, foot[1] - 0.005), 0.06))


def _face(head: Point) -> list[Layer]:
    """Two eyes and a smile."""
    u, v = head
    return [
        plain("ink", ellipse(u - 0.045, v + 0.012, 0.018, 0.025), ellipse(u + 0.05, v + 0.012, 0.018, 0.025)),
        plain("ink", *bend((u - 0.035, v - 0.038), (u + 0.003, v - 0.054), (u + 0.041, v - 0.038), wide=0.014)),
    ]


def man(pose: str, part: bool) -> list[Layer]:
    """A man: shirt, darker trousers, short hair; the part is a full beard."""
    bones = SKELETON[pose]
    hip, neck, head = bones["hip"], bones["neck"], bones["head"]
    far, near = bones["arms"]
    left, right = _between(neck, hip, 0.12), _between(neck, hip, 0.12)
    left, right = (left[0] - 0.10, left[1]), (right[0] + 0.10, right[1])
    layers = _arm(left, *far, "main")
    for knee, foot in bones["legs"]:
        start = (hip[0] + (0.055 if knee[0] > hip[0] else -0.055), hip[1])
        layers += [_foot(foot), inked("dark", *bend(start, knee, (foot[0], foot[1] + 0.02), wide=0.125, tip=0.095))]
    layers += [inked("main", limb(_between(neck, hip, 0.18), _between(neck, hip, 0.94), 0.27, 0.22))]
    layers += _arm(right, *near, "main")
    u, v = head
    layers += [
        inked("skin", ellipse(u, v, HEAD), ellipse(u - HEAD, v - 0.01, 0.028), ellipse(u + HEAD, v - 0.01, 0.028))
    ]
    cap = smooth(*path("-0.142,0.02 -0.125,0.11 0,0.158 0.125,0.11 0.142,0.02 0.09,0.075 0,0.09 -0.09,0.075", u, v))
    layers += [inked("hair", cap)]
    if part:
        beard = smooth(
            *path("-0.14,0.01 -0.125,-0.12 0,-0.235 0.125,-0.12 0.14,0.01 0.07,-0.03 0,-0.02 -0.07,-0.03", u, v)
        )
        layers += [inked("hair", beard)]
        return [*layers, *_face(head)[:1], plain("white", ellipse(u, v - 0.07, 0.045, 0.014))]
    return layers + _face(head)


def woman(pose: str, part: bool) -> list[Layer]:
    """A woman: a wide dress, long hair; the part is a scarf with a loose end."""
    bones = SKELETON[pose]
    hip, neck, head = bones["hip"], bones["neck"], bones["head"]
    far, near = bones["arms"]
    u, v = head
    hair = smooth(*path("-0.155,0.05 0,0.17 0.155,0.05 0.19,-0.18 0.12,-0.25 0,-0.22 -0.12,-0.25 -0.19,-0.18", u, v))
    layers = [inked("hair", hair)]
    layers += _arm((neck[0] - 0.08, neck[1] - 0.03), *far, "main")
    for knee, foot in bones["legs"]:
        start = (hip[0] + (0.05 if knee[0] > hip[0] else -0.05), hip[1])
        layers += [_foot(foot, 0.06), inked("skin", *bend(start, knee, foot, wide=0.10, tip=0.065))]
    if pose == "sitting":  # the skirt lies over the thighs
        skirt = smooth(
            (neck[0] - 0.08, neck[1]),
            (neck[0] + 0.08, neck[1]),
            *path("0.04,0.24 0.2,0.24 0.24,0.08 0.02,0.02 -0.24,0.03 -0.2,0.16"),
        )
    elif pose == "running":  # it flies behind
        skirt = smooth(
            (neck[0] - 0.08, neck[1]),
            (neck[0] + 0.08, neck[1] - 0.02),
            *path("0.1,0.42 0.19,0.25 0,0.19 -0.22,0.22 -0.3,0.32 -0.12,0.42"),
        )
    else:
        skirt = smooth(
            (-0.085, 0.66), (0.085, 0.66), (0.095, 0.48), (0.235, 0.17), (0.0, 0.145), (-0.235, 0.17), (-0.095, 0.48)
        )
    layers += [inked("main", skirt)]
    layers += _arm((neck[0] + 0.08, neck[1] - 0.03), *near, "main")
    layers += [inked("skin", ellipse(u, v, HEAD))]
    fringe = smooth(*path("-0.148,-0.03 -0.135,0.1 0,0.16 0.135,0.1 0.148,-0.03 0.1,0.05 0.02,0.1 -0.09,0.05", u, v))
    layers += [inked("hair", fringe)]
    if part:
        n = neck
        layers += [
            inked(
                "accent",
                polygon(
                    (n[0] + 0.02, n[1]), (n[0] + 0.13, n[1]), (n[0] + 0.17, n[1] - 0.27), (n[0] + 0.05, n[1] - 0.27)
                ),
            ),
            inked("accent", limb((n[0] - 0.12, n[1] + 0.005), (n[0] + 0.12, n[1] + 0.005), 0.11)),
        ]
    return layers + _face(head)
