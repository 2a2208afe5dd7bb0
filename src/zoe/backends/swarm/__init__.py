"""Runs instances as services of a Docker Swarm: Zoe decides on which node, the swarm starts them.

One service per attempt, with one task that is never restarted or moved. All else is
as with the ``docker`` back-end, whose engines are here the nodes of the swarm.
"""
