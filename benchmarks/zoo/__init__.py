"""Merging judged on real task vectors: one base, a fine-tuning per task, every method's accuracy on all tasks."""
