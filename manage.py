#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")
    from django.apps import apps
    from django.core.management import execute_from_command_line

    failed = True
    try:
        execute_from_command_line(sys.argv)
        failed = False
    finally:
        if apps.ready:  # else nothing was changed
            from tenants.audit import record_command

            record_command(sys.argv[1:], failed)
