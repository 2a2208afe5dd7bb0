"""Drives the scheduler that ships through virtual time."""
