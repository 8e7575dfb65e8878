"""`mmhallu tour`: five minutes to see a hallucination, count it, and try to train it away.

`run` makes what is trained on and does the work in stages that survive being stopped, `tell` says it in a terminal or
to a screen reader, and `page` chooses the pictures and writes the page to keep.
"""
