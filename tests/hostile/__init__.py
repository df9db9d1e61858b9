"""Malicious folders and names that try to make the program hang, crash, or do something for the attacker."""
