"""A Django site in one file: a model, two pages, the WSGI application, and `django_site.py trial`.

HOST_APP=1 takes the application walmanager.django instead of the receiver.
"""

import json
import os
import sys
import threading

import django
from django.conf import settings

WALMANAGER = os.environ["WALMANAGER"]
APP = os.environ.get("HOST_APP")
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"], "OPTIONS": {"timeout": 20},
                           "CONN_MAX_AGE": None if os.environ.get("HOST_CONNECTIONS_STAY") else 0}},
    INSTALLED_APPS=["walmanager.django"] if APP else [], ROOT_URLCONF=__name__, SECRET_KEY="trial", ALLOWED_HOSTS=["*"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=False)

if not APP:
    # [snippet]
    from django.db.backends.signals import connection_created
    from django.dispatch import receiver

    @receiver(connection_created)
    def load_walmanager(connection, **kwargs):
        if connection.vendor == "sqlite":
            connection.connection.enable_load_extension(True)
            connection.connection.load_extension(WALMANAGER)
    # [end]

django.setup()

from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, models, transaction
from django.http import JsonResponse
from django.urls import path


class Order(models.Model):
    note = models.TextField()
    total = models.FloatField()

    class Meta:
        app_label = "site"
        db_table = "orders"


def hook():
    with connection.cursor() as cursor:
        cursor.execute("SELECT hook, sqlite_version() FROM wal_metrics")
        return cursor.fetchone()


def write(request):
    Order.objects.create(note="from a page", total=1)
    return JsonResponse({"pid": os.getpid(), "hook": hook()[0]})


urlpatterns = [path("write", write)]
application = get_wsgi_application()
if os.environ.get("HOST_PRELOAD"):
    Order.objects.count()  # as a site does that reads its database while gunicorn preloads it


def trial():
    hooks = []

    def work(which):
        for n in range(150):
            with transaction.atomic():
                Order.objects.create(note=f"thread {which}", total=n)
        hooks.append(hook()[0])
        connection.close()
    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Order.objects.create(note="the main thread", total=1)
    name, sqlite = hook()
    print(json.dumps({"version": django.get_version(), "sqlite": sqlite, "hooks": [*hooks, name]}))


if __name__ == "__main__":
    trial() if sys.argv[1:] == ["trial"] else execute_from_command_line(sys.argv)
