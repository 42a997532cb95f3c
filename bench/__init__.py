"""The harness of all claims about speed: `python -m bench [NAME ...]`. Each is measured beside its floor."""
