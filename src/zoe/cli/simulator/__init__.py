"""What `zoe simulate` is made of; imported when it runs, for the simulator takes its time."""
