"""How the shipped checkpoints are made: first see, then speak (`mmhallu pretrain`)."""
