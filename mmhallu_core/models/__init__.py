"""Vision-language models behind one interface; nine families, and the shipped tiny ones."""
