"""Artifacts that tests put where machines download them, without building any."""

from provisioning.dkam.store import Store


def serve(folder, step, digest, needs=None, **files):
    """files: name -> content."""
    store = Store(folder)
    with store.making(step, digest) as made_in:
        for name, content in files.items():
            (made_in / name).parent.mkdir(parents=True, exist_ok=True)
            (made_in / name).write_bytes(content)
        store.note_facts(made_in, tuple(files), needs)
    store.point(step, digest)
