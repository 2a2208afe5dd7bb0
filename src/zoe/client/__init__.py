"""The Python SDK over the REST interface, synchronous and asynchronous."""
