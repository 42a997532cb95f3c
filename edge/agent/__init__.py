"""The agent of an installed machine: it says that it runs and what the machine is, and updates it when it may."""
