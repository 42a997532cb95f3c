"""What runs on a real machine from a network boot until it reboots into its installed system."""
