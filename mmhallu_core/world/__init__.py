"""Diorama: a drawn world where every fact is known."""
