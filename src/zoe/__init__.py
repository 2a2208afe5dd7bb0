"""Zoe shares machines: it queues, schedules and explains whole applications."""

__version__ = "0.1.0"
