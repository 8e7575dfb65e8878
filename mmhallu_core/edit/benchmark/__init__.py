"""The benchmark that `mmhallu med bench` writes, its README, its check for contamination, its lmms-eval task."""
