"""The stages of the pipeline: those that ask an annotator, what an instruction means, how alike two pictures are."""
