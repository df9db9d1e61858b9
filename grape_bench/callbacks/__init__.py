"""Callbacks that tell a network where epochs begin, and save its rule: for Hugging Face's Trainer and for Lightning."""
