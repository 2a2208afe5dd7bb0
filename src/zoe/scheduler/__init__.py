"""Decides which executions start, where, with how many instances; pure, events in, decisions out."""
