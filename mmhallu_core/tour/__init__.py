"""`mmhallu tour`: five minutes to see a hallucination, count it, and try to train it away.

`pictures` chooses what is shown, `lesson` makes what is trained on, `run` does the work in stages that survive
being stopped, `tell` says it in a terminal or to a screen reader, and `page` writes the page to keep.
"""
