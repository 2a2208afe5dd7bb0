"""The web pages: rendered here, kept live by server-sent events."""
