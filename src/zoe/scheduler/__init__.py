"""Decides what starts, where, with how many instances; pure: events in, decisions out."""
