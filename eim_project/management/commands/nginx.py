"""`manage.py nginx > /etc/nginx/conf.d/eim.conf`: what nginx must know to stand before the manager."""

from django.core.management.base import BaseCommand

from eim_project.nginx import site


class Command(BaseCommand):
    help = "Print the site for nginx that these settings make of docker/nginx.conf.template."
    requires_system_checks = []

    def handle(self, **options):
        self.stdout.write(site())
