"""Triggers, and the polling decision that they share with the sensors."""
