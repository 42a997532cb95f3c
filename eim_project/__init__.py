"""The roof: settings, urls, celery, embedded services. Wires, decides nothing."""
