"""Loads the extension into each SQLite connection that Django opens."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created

import walmanager


def load(connection, **kwargs):
    if connection.vendor == "sqlite":
        walmanager.load(connection.connection)


class WalmanagerConfig(AppConfig):
    name = "walmanager.django"
    label = "walmanager"
    verbose_name = "walmanager"

    def ready(self):
        connection_created.connect(load, dispatch_uid="walmanager.load")
