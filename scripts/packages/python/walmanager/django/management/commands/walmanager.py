"""manage.py walmanager health: what system_health says of a database. The exit status is 1 if a check is critical."""

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

HEALTH = "SELECT check_name, status, detail, recommendation FROM system_health"
NOTABLE = " WHERE status NOT IN ('ok', 'unknown') OR check_name = 'overall'"


class Command(BaseCommand):
    help = "Shows the health of an SQLite database, as the table system_health of walmanager has it."

    def add_arguments(self, parser):
        actions = parser.add_subparsers(dest="action", required=True)
        health = actions.add_parser("health", help="the checks that are neither ok nor unknown, and the overall status")
        health.add_argument("--database", default="default", help="alias of the database in DATABASES")
        health.add_argument("--all", action="store_true", help="all checks")

    def handle(self, *args, **options):
        alias = options["database"]
        if alias not in connections:
            raise CommandError(f"walmanager: database '{alias}' is not one of {', '.join(connections)}")
        connection = connections[alias]
        if connection.vendor != "sqlite":
            raise CommandError(f"walmanager: database '{alias}' is {connection.display_name}, not SQLite")
        with connection.cursor() as cursor:
            cursor.execute(HEALTH if options["all"] else HEALTH + NOTABLE)
            rows = cursor.fetchall()
        style = {"critical": self.style.ERROR, "warning": self.style.WARNING, "ok": self.style.SUCCESS}
        for name, status, detail, recommendation in rows:
            self.stdout.write(f"{style.get(status, str)(status)}  {name}: {detail}")
            if recommendation:
                self.stdout.write(f"    {recommendation}")
        if any(status == "critical" for _, status, _, _ in rows):
            raise CommandError("a check is critical", returncode=1)
