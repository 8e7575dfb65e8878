"""The figures that MED prints about its benchmark (arXiv 2506.07227), typed from its table 1 and its section 6.

Percent, as printed. The copy that they were typed from had lost two things, which `med_table.lost_cells` settles from
the printed averages: one figure (Qwen2.5-VL fine-tuned, Spatial), and the lines of the last category's column, which
held one 28.57 too many.
"""

from mmhallu_core.types import CATEGORIES, slug

# The paper's columns: Object, Attr., Scene, Spatial, Action, Part, Count, Differ., Compar., Neg., Univ., and Avg.
COLUMNS = tuple(slug(category) for category in CATEGORIES)
TABLE = {
    "people": (85.71, 100, 100, 100, 100, 93.75, 100, 75, 100, 100, 92.86, 95.21),
    "GPT-4o": (57.14, 56.25, 61.54, 57.14, 33.33, 43.75, 50.00, 66.67, 31.58, 42.86, 64.29, 51.32),
    "GPT-4.1": (71.43, 62.50, 61.54, 50.00, 33.33, 50.00, 61.11, 66.67, 47.37, 42.86, 50.00, 54.26),
    "Claude 3.7 Sonnet": (57.14, 43.75, 46.15, 35.71, 46.67, 25.00, 38.89, 50.00, 15.79, 42.86, 42.86, 40.44),
    "Qwen-VL-Plus": (57.14, 56.25, 61.54, 42.86, 33.33, 31.25, 38.89, 66.67, 47.37, 50.00, 35.71, 47.36),
    "Doubao-1.5-vision-pro": (69.23, 37.50, 69.23, 50.00, 50.00, 50.00, 38.89, 66.67, 52.63, 42.86, 42.86, 51.81),
    "Qwen2-VL-7B": (35.71, 43.75, 61.54, 42.86, 46.67, 31.25, 50.00, 33.33, 21.05, 28.57, 28.57, 38.48),
    "Qwen2-VL-7B, MED": (42.86, 43.75, 53.85, 57.14, 53.33, 50.00, 55.56, 58.33, 36.84, 42.86, 28.57, 47.55),
    "Qwen2.5-VL-7B": (53.85, 50.00, 38.46, 42.86, 12.50, 18.75, 44.44, 50.00, 26.32, 42.86, 57.14, 39.74),
    "Qwen2.5-VL-7B, MED": (57.14, 56.25, 53.84, 42.86, 46.67, 43.75, 55.56, 50.00, 47.37, 50.00, 64.29, 51.61),
    "LLaVA-v1.6-7B": (64.29, 37.50, 30.77, 21.43, 33.33, 25.00, 27.78, 25.00, 26.32, 21.43, 28.57, 31.04),
    "LLaVA-v1.6-7B, MED": (57.14, 37.50, 46.15, 42.86, 46.67, 37.50, 44.44, 33.33, 42.11, 28.57, 28.57, 40.44),
    "LLaMA-3.2-11B": (46.15, 43.75, 38.46, 50.00, 50.00, 25.00, 22.22, 33.33, 15.79, 21.43, 35.71, 34.71),
    "LLaMA-3.2-11B, MED": (38.46, 62.50, 46.15, 35.71, 37.50, 37.50, 33.33, 41.67, 31.58, 42.86, 42.86, 40.92),
}
LOST = {
    **{name: ("universality",) for name in list(TABLE)[6:]},
    "Qwen2.5-VL-7B, MED": ("spatial_relation", "universality"),
}
# What the text says of the table: model, column, score before, score after, gain; None where the text does not say.
TEXT = (
    ("Qwen2-VL-7B", "average", 38.48, 47.55, 9.07),
    ("Qwen2-VL-7B", "spatial_relation", None, None, 14.28),
    ("Qwen2-VL-7B", "action_relation", None, None, 6.67),
    ("Qwen2-VL-7B", "counting", None, None, 5.56),
    ("Qwen2-VL-7B", "differentiation", None, None, 25.00),
    ("Qwen2.5-VL-7B", "average", 40.24, 51.61, 11.37),
    ("Qwen2.5-VL-7B", "comparison", None, None, 21.06),
    ("Qwen2.5-VL-7B", "counting", None, None, 22.23),
    ("Qwen2.5-VL-7B", "universality", None, None, 14.29),
    ("LLaMA-3.2-11B", "average", 34.71, 40.92, 6.21),
    ("LLaVA-v1.6-7B", "average", 40.44, 44.04, 3.60),
)
