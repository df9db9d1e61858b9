"""Publish results: pack them so that anyone can verify them, and verify them without executing their code."""
