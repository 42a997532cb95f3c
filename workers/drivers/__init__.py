"""What machines' management is spoken to by: a file for each kind of it."""
