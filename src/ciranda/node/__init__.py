"""The runtime: coordinator, recovery, batches, startup. It knows the world only through the ports."""
