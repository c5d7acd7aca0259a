"""Transfers from other systems into a group."""
