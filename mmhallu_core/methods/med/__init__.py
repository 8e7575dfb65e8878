"""MED, "Hallucination at a Glance" (arXiv 2506.07227): fine-tuning on pairs of pictures that differ in one edit."""
