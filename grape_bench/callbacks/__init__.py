"""Callbacks for Hugging Face's Trainer and for Lightning. They announce epochs to a network and save its rule."""
