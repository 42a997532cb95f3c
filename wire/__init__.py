"""What machines and servers say to each other: our .proto files and what is generated from them, nothing else."""
