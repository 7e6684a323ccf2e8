"""Django application: add "walmanager.django" to INSTALLED_APPS.

It loads the extension into each SQLite connection that Django opens, and adds `manage.py walmanager health`.
"""
