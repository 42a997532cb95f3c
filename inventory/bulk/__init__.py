"""Hosts by the thousand from a CSV file: the file (sheet), what a row says (rows), and making it so (importer)."""
