"""The stages of the pipeline, in their order: choose, instruct, edit, compare, align, judge, teach."""
