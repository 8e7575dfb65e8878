"""Figures and numbers that one page of the book alone needs, a file or two each; they ship, so that notebooks run."""
