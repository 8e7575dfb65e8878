"""Training: pretraining of the shipped checkpoints, and fine-tuning."""
