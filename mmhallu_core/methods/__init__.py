"""The papers' recipes, one folder each: what they trained, with which numbers, and where those numbers stand."""
