"""What runs instances: the port, its conformance twin and the real engines."""
