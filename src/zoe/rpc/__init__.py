"""The encrypted ZeroMQ doorbell between the api and the master."""
