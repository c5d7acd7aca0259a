"""Operators: one for each documented method, and one that makes a group follow a list."""
