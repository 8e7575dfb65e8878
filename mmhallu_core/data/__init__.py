"""Readers of public corpora and benchmarks, into the records of `mmhallu_core.types`."""
