"""What runs on an edge node: the micro-OS, the node agent, and a fleet of simulated nodes that speak the same."""
