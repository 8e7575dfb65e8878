"""The eleven edit categories as one table: what each needs, does, changes and says.

The book prints `TABLE`, `edits.classify` follows it, and tests hold it against 500 edits of each category.
Category names are printed as the MED paper prints them (arXiv 2506.07227, section 4).
"""

from collections.abc import Callable
from dataclasses import dataclass

from mmhallu_core.world import edits_change as change

# Fact patterns: "kind predicate", or "kind" alone for any predicate of that kind.
WHOLE_THING = ("object", "attribute", "part_relation", "action_relation", "spatial_relation")
GROUP = ("universality", "differentiation", "comparison")


@dataclass(frozen=True)
class Operation:
    """One way to make an edit of a category.

    Attributes:
        name: unique among all operations.
        does: what happens, in words.
        removed, added: patterns of the facts that always go and always come.
        along: patterns of further facts that may go or come with them.
        sentence: the form of the sentence that states the difference; <...> is filled in.
    """

    name: str
    does: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    along: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Row:
    """One category.

    Attributes:
        category: the name as printed.
        precondition: what the scene must have.
        precedence: when several categories could be claimed, the lowest number wins.
        rather_than: why this category, and not another that the paper's wording would also allow.
        holds: the strict condition, given the change.
        operations: the ways to do it.
    """

    category: str
    precondition: str
    precedence: int
    rather_than: str
    holds: Callable[[change.Change], bool]
    operations: tuple[Operation, ...]


def _swap(name: str, does: str, fact: str, sentence: str, along: tuple[str, ...] = ()) -> Operation:
    """An operation that takes one fact away and puts one of the same pattern in its stead."""
    return Operation(name, does, (fact,), (fact,), along, sentence)


TABLE: tuple[Row, ...] = (
    Row(
        "Object",
        "the kind that comes is absent; the thing that it replaces is the only one of its kind",
        2,
        "an exchange is one edit, neither a loss (Negation) nor a new number (Counting)",
        change.is_object,
        (
            _swap(
                "replace",
                "a thing becomes another kind, in its place, with its colour, pattern and size",
                "object is",
                "The <kind> became a <kind>.",
                ("counting number", "negation absent", *WHOLE_THING),
            ),
            Operation(
                "add",
                "a thing of an absent kind is added",
                ("negation absent",),
                ("object is", "counting number"),
                WHOLE_THING,
                "A <colour> <kind> was added.",
            ),
        ),
    ),
    Row(
        "Attribute",
        "a thing is the only one of its kind",
        8,
        "among several of a kind the same change is Differentiation, Comparison or Universality",
        change.is_attribute,
        (
            _swap(
                "recolour", "it gets another colour", "attribute colour", "The <kind> was <colour> and is now <colour>."
            ),
            _swap(
                "repattern",
                "it gets another pattern",
                "attribute pattern",
                "The <kind> was <pattern> and is now <pattern>.",
            ),
            _swap("resize", "it gets another size", "attribute size", "The <kind> was <size> and is now <size>."),
        ),
    ),
    Row(
        "Scene",
        "none",
        1,
        "things stay as they are, so no other category is touched",
        change.is_scene,
        (
            _swap(
                "change place",
                "the place behind the things changes",
                "scene place",
                "The place changed from <place> to <place>.",
            ),
        ),
    ),
    Row(
        "Spatial Relation",
        "two things, each the only one of its kind, one clearly left of the other; neither is carried",
        11,
        "nothing comes, goes or looks different",
        change.is_spatial_relation,
        (
            _swap(
                "move",
                "one moves sideways to the other side of the other one",
                "spatial_relation left of",
                "The <kind> moved from the <side> of the <kind> to the <side> of it.",
            ),
        ),
    ),
    Row(
        "Action Relation",
        "the only person or animal of its kind; to hand over: a carried thing and a second person without one",
        10,
        "what somebody does is not how they look (Attribute)",
        change.is_action_relation,
        (
            _swap(
                "change pose",
                "a pose on the ground becomes another",
                "action_relation pose",
                "The <kind> was <pose> and is now <pose>.",
            ),
            _swap(
                "hand over",
                "a carried thing passes to the other person",
                "action_relation",
                "The <kind> passed from the <person> to the <person>.",
            ),
        ),
    ),
    Row(
        "Part Relation",
        "the only thing of its kind, of a kind with a removable part",
        9,
        "a part is neither a thing (Object, Negation) nor a look (Attribute)",
        change.is_part_relation,
        (
            Operation(
                "attach",
                "the missing part appears",
                ("part_relation lacks",),
                ("part_relation has",),
                (),
                "The <kind> got a <part>.",
            ),
            Operation(
                "detach",
                "the part goes away",
                ("part_relation has",),
                ("part_relation lacks",),
                (),
                "The <kind> lost its <part>.",
            ),
        ),
    ),
    Row(
        "Counting",
        "a kind is there, and at least one of it stays",
        4,
        "from none or to none is not a new number but Object or Negation",
        change.is_counting,
        (
            Operation(
                "one more",
                "one more of the kind comes",
                ("counting number",),
                ("object is", "counting number"),
                WHOLE_THING + GROUP,
                "There were <number> <kinds> and now there are <number>.",
            ),
            Operation(
                "one fewer",
                "one of the kind goes",
                ("object is", "counting number"),
                ("counting number",),
                WHOLE_THING + GROUP,
                "There were <number> <kinds> and now there are <number>.",
            ),
        ),
    ),
    Row(
        "Differentiation",
        "several of a kind, of which all others are alike in colour (or pattern)",
        6,
        "it is told by the others of its kind, which an Attribute edit does not have",
        change.is_differentiation,
        (
            _swap(
                "recolour one",
                "one of them gets another colour, so that it starts, or stops, to differ from the others",
                "attribute colour",
                "One of the <kinds> was <colour> and is now <colour>.",
                ("differentiation", "universality"),
            ),
            _swap(
                "repattern one",
                "one of them gets another pattern, so that it starts, or stops, to differ from the others",
                "attribute pattern",
                "One of the <kinds> was <pattern> and is now <pattern>.",
                ("differentiation", "universality"),
            ),
        ),
    ),
    Row(
        "Comparison",
        "several of a kind",
        7,
        "size is judged against the others of its kind, which an Attribute edit does not have",
        change.is_comparison,
        (
            _swap(
                "enlarge one",
                "one of them becomes larger than all others",
                "attribute size",
                "One of the <number> <kinds> became larger than the others.",
                ("comparison",),
            ),
            _swap(
                "shrink one",
                "one of them becomes smaller than all others",
                "attribute size",
                "One of the <number> <kinds> became smaller than the others.",
                ("comparison",),
            ),
        ),
    ),
    Row(
        "Negation",
        "a thing is the only one of its kind; it is not a person who carries something",
        3,
        "the kind is absent afterwards: more than a smaller number (Counting)",
        change.is_negation,
        (
            Operation(
                "take away",
                "the thing goes, and nothing comes",
                ("object is", "counting number"),
                ("negation absent",),
                WHOLE_THING,
                "The <kind> is gone; there is no <kind> now.",
            ),
        ),
    ),
    Row(
        "Universality",
        "several of a kind; none of them has the new colour (or pattern)",
        5,
        "all change together: not one among others (Differentiation), not one alone (Attribute)",
        change.is_universality,
        (
            _swap(
                "recolour all",
                "all of them get one new colour",
                "attribute colour",
                "All the <kinds> are now <colour>.",
                ("differentiation", "universality"),
            ),
            _swap(
                "repattern all",
                "all of them get one new pattern",
                "attribute pattern",
                "All the <kinds> are now <pattern>.",
                ("differentiation", "universality"),
            ),
        ),
    ),
)
