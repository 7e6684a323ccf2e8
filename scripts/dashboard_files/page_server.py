"""The HTTP server of the page. Any local user can reach a loopback port, so nothing is served without the secret.

The opened URL holds the secret. It answers with a SameSite=Strict cookie and leads to the page. The cookie's path
is random: browsers send a cookie to every port of a host, and so to a server of another user, but only below its
path. Host and Origin are checked, because a foreign page may lead a browser here (DNS rebinding, CSRF).
"""

import hmac
import http.server
import json
import re
import secrets
import socket
import sys
import time
import urllib.parse

import bundle
import metrics_text
import queries
import report
from observer import Unavailable
from shown_database import as_json

HEADERS = {
    "Content-Security-Policy":
        "default-src 'none'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STILL_HERE_S = 2
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class NotThere(Exception):
    """The answer is 404, with this sentence."""


class PageServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, sampler, token=None, read_only=False):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        self.sampler, self.read_only = sampler, read_only
        self.secret = token or secrets.token_urlsafe(32)
        self.cookie = secrets.token_urlsafe(32)
        self.prefix = "/" + secrets.token_urlsafe(9) + "/"
        host, port = self.server_address[:2]
        self.loopback = host in ("127.0.0.1", "::1")
        self.about = about(sampler.databases, read_only, not self.loopback)
        self.document = bundle.Document(has_icon=True)
        self.files = {  # name: (text, type)
            "icon.svg": ((bundle.PAGE / "icon.svg").read_text(), "image/svg+xml"),
            "LICENSE": ((bundle.UPLOT / "LICENSE").read_text(), "text/plain")}
        bracketed = f"[{host}]" if ":" in host else host
        # Browsers ignore this header without TLS, and say so in the console, but on loopback.
        self.headers = {**HEADERS, **({"Cross-Origin-Opener-Policy": "same-origin"} if self.loopback else {})}
        self.origin = f"http://{bracketed}:{port}"
        self.hosts = {f"{bracketed}:{port}"}
        if self.loopback:
            self.hosts.add(f"localhost:{port}")
        elif host in ("0.0.0.0", "::"):
            self.hosts = None  # every name of the machine leads here
        else:
            self.hosts.add(f"{socket.gethostname()}:{port}")
        self.url = f"{self.origin}/?secret={urllib.parse.quote(self.secret)}"

    def index(self):
        """With what the page must know before it asks for anything, and with the first numbers of a lone database."""
        sections = ",".join(f'"{name}":{text}' for name, text in self.sampler.first_sections().items())
        text = f'{{"about":{as_json(self.about)},"sections":{{{sections}}}}}'
        return self.document.text("known", text)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "walmanager", ""
    timeout = 60
    wbufsize = -1  # headers and body in one packet: a second one could wait for the browser's answer to the first

    def log_message(self, *_):
        pass

    # -- answers

    def answer(self, status, body, kind="text/plain", **more):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind if "charset" in kind else kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in {**self.server.headers, **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, sentence):
        self.close_connection = True
        self.answer(status, sentence + "\n", Connection="close")

    def answer_json(self, value):
        self.answer(200, as_json(value), "application/json")

    # -- who may ask

    def has_cookie(self):
        # By hand: http.cookies gives up at the first strange cookie of another program on this host.
        cookies = [part.strip().partition("=") for part in self.headers.get("Cookie", "").split(";")]
        return any(name == "walmanager" and hmac.compare_digest(value.encode(), self.server.cookie.encode()) for name, _, value in cookies)

    def has_secret(self, given):
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.server.secret.encode())

    def is_foreign(self):
        """Why the request is refused before its secret is looked at, or None."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if self.server.hosts is not None and host not in self.server.hosts:
            return "this name of the host is not the dashboard's"
        if origin is not None and origin != f"http://{host}":
            return "the request comes from another origin"
        if self.headers.get("Sec-Fetch-Site", "none") == "cross-site" and self.headers.get("Sec-Fetch-Mode") != "navigate":
            return "the request comes from another site"
        return None

    # -- requests

    def do_GET(self):
        self.route()

    def do_POST(self):
        self.route()

    def route(self):
        try:
            url = urllib.parse.urlsplit(self.path)
        except ValueError:
            return self.refuse(400, "Refused: this is no URL.")
        query = {name: values[-1] for name, values in urllib.parse.parse_qs(url.query).items()}
        # http.server reads headers as Latin-1.
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ").encode("latin-1", "replace").decode("utf-8", "replace")
        # No browser sends this header by itself, so Prometheus may use whatever name of the host it has.
        if url.path == "/metrics" and self.command == "GET" and self.has_secret(bearer):
            return self.get_metrics()
        because = self.is_foreign()
        if because:
            return self.refuse(403, f"Refused: {because}.")
        if url.path == "/" and self.command == "GET" and "secret" in query:
            if self.has_secret(query["secret"]):
                return self.let_in()
            return self.refuse(403, "Refused: this secret is not that of the running dashboard. Open the URL that it has printed.")
        if not url.path.startswith(self.server.prefix) or not self.has_cookie():
            return self.refuse(403, "Refused: open the URL that scripts/dashboard has printed; it holds a secret.")
        name = url.path[len(self.server.prefix):]
        if self.command == "POST":
            return self.post_cancel() if name == "cancel" else self.refuse(404, "Nothing here takes a POST but cancel.")
        if not name:
            policy = HEADERS["Content-Security-Policy"] + "; " + self.server.document.policy
            return self.answer(200, self.server.index(), "text/html", **{"Content-Security-Policy": policy})
        if name in self.server.files:
            return self.answer(200, *self.server.files[name])
        ask = getattr(self, "get_" + name, None) if name.isidentifier() else None
        if not ask:
            return self.refuse(404, "There is no such page.")
        try:
            if name in ("stream", "metrics", "report"):
                return ask() if name != "stream" else ask(query)
            number = query.get("db", "0")
            if not re.fullmatch("[0-9]{1,6}", number) or int(number) >= len(self.server.sampler.databases):
                return self.refuse(404, "There is no such database.")
            database = self.server.sampler.databases[int(number)]
            with database.lock:  # not while the answer is sent: a browser may be slow
                value = ask(database, query) if database.ensure() else {"error": database.said}
            return self.answer_json(value)
        except NotThere as not_there:
            return self.refuse(404, str(not_there))
        except Unavailable as error:
            return self.answer_json({"error": str(error)})
        finally:
            self.server.sampler.touch()

    def let_in(self):
        """A redirect would belong to the navigation of the page that led here, and so carry no SameSite=Strict cookie."""
        prefix = self.server.prefix
        page = f'<!doctype html><html lang="en"><meta http-equiv="refresh" content="0;url={prefix}"><link rel="icon" href="{prefix}icon.svg"><title>walmanager</title><a href="{prefix}">Dashboard</a>'
        self.answer(200, page, "text/html", Set_Cookie=f"walmanager={self.server.cookie}; Path={prefix}; HttpOnly; SameSite=Strict")

    @staticmethod
    def get_history(database, query):
        span = query.get("span", "15m")
        if span not in queries.RESOLUTIONS:
            raise NotThere("There is no such span.")
        return {"span": span, "columns": database.history(span), "checkpoints": database.all_checkpoints()}

    @staticmethod
    def get_statements(database, query):
        order = query.get("order", "total_ms")
        if order not in queries.ORDERS:
            raise NotThere("There is no such order.")
        return database.statements(order, query.get("search", "")[:200], 100)

    @staticmethod
    def get_statement(database, query):
        return database.statement(query.get("id", ""))

    def get_metrics(self):
        """Of the databases that can be read; walmanager_up says which those are."""
        texts, up = [], []
        for database in self.server.sampler.databases:
            with database.lock:
                text = None
                try:
                    if not database.ensure():
                        pass
                    elif not database.has_function("wal_openmetrics"):
                        return self.refuse(404, "This walmanager has no wal_openmetrics(), which makes the metrics. A newer one has.")
                    else:
                        text = database.openmetrics()
                except Unavailable:
                    pass
            up.append((database.path, text is not None))
            if text is not None:
                texts.append(text)
        self.server.sampler.touch()
        self.answer(200, metrics_text.merged([metrics_text.up(up), *texts]), OPENMETRICS)

    def get_report(self):
        self.answer(200, report.make(self.server.sampler.databases), "text/html",
                    Content_Disposition='attachment; filename="walmanager-report.html"')

    def get_stream(self, query):
        """Server-sent events: each holds the sections that have changed since the one before."""
        sampler, view = self.server.sampler, query.get("db", "overview")
        if view != "overview":
            if not re.fullmatch("[0-9]{1,6}", view) or int(view) >= len(sampler.databases):
                return self.refuse(404, "There is no such database.")
            view = int(view)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        sampler.look(view)
        sent = {}
        try:
            self.wfile.flush()
            written = time.monotonic()
            while not sampler.stopped:
                with sampler.changed:
                    sections = {"overview": sampler.overview} if view == "overview" else dict(sampler.databases[view].sections)
                    news = {name: text for name, (version, text) in sections.items() if sent.get(name) != version}
                    if not news:
                        sampler.changed.wait(STILL_HERE_S)
                if not news:
                    if time.monotonic() - written >= STILL_HERE_S:  # a page that is gone is noticed by it
                        self.wfile.write(b": still here\n\n")
                        self.wfile.flush()
                        written = time.monotonic()
                    continue
                sent.update((name, sections[name][0]) for name in news)
                event = "{" + ",".join(f'"{name}":{text}' for name, text in news.items()) + "}"
                self.wfile.write(f"data: {event}\n\n".encode())
                self.wfile.flush()
                written = time.monotonic()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            sampler.leave(view)

    def post_cancel(self):
        if self.headers.get("Origin") is None or not self.headers.get("Content-Type", "").startswith("application/json"):
            return self.refuse(403, "Refused: only the page may cancel.")
        if self.server.read_only:
            return self.refuse(403, "The dashboard was started with --read-only, so it cancels nothing.")
        length = self.headers.get("Content-Length", "")
        try:
            asked = json.loads(self.rfile.read(int(length))) if length.isdigit() and int(length) < 10000 else {}
            number, connection_id, query, running_ms = asked["db"], asked["connection_id"], asked.get("query"), float(asked.get("running_ms", 0))
            if type(number) is not int or type(connection_id) is not int or number < 0 or not 0 <= connection_id < 2**63:
                raise ValueError
            database = self.server.sampler.databases[number]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError):
            return self.refuse(400, 'cancel takes {"db": number, "connection_id": number, "query": text, "running_ms": number}.')
        try:
            self.answer_json({"cancelled": database.cancel(connection_id, query, running_ms)})
        except Unavailable as error:
            self.answer_json({"error": str(error)})


def about(databases, read_only, exposed):
    """What the page needs to know before it asks for anything."""
    return {
        "databases": [{"number": d.number, "name": d.name, "path": d.shown_path} for d in databases],
        "read_only": read_only, "exposed": exposed,
        "sql": {name: queries.shown(text) for name, text in {
            "findings": queries.HEALTH + ";\n" + queries.ADVICE, "log": queries.METRICS, "commits": queries.HISTORY.format(
                columns="at, commits, commit_p99_ms, checkpoint_stall_ms", resolution="= 1000").replace(" AND (:after IS NULL OR at > :after)", ""),
            "waits": queries.LOCK_WAITS, "disk": queries.STORAGE, "connections": queries.CONNECTIONS, "checkpoints": queries.CHECKPOINTS,
            "statements": "SELECT * FROM query_performance WHERE schema = :schema ORDER BY total_ms DESC LIMIT 100",
        }.items()},
    }
