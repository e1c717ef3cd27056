"""What a payment costs: a load generator, workloads, and the figures of every process that takes part."""
