"""Vision-language models behind one interface; so far the shipped tiny ones."""
