"""Folders and names from a stranger who wants the program to hang, to crash, or to act for him."""
