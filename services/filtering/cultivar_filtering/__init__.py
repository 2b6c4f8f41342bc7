"""Filtering: filters keep or reject candidates, and say why."""
