"""A project that moves here from another server with the same REST API: ours, or the archived system's."""
