"""HTTP in: the public listener, one file for each resource, and the peers' listener."""
