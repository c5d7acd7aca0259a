"""Sensors that wait for a group."""
