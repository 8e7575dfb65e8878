"""`python -m mmhallu_core.cli`."""

from mmhallu_core.cli import app

app()
