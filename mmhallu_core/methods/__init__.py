"""The papers' recipes, a folder each, and `baselines`, repairs without training: numbers, and where they stand."""
