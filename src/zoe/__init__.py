"""Zoe shares machines: it queues, schedules and explains whole applications."""
