"""Scoring: what models said against what is true, one file per benchmark."""
