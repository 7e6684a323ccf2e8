"""Debian's headless Chromium, driven over the DevTools protocol through two pipes."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--password-store=basic", "--force-device-scale-factor=1", "--mute-audio", "--disable-dev-shm-usage"]


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        from_browser, its_output = os.pipe()
        its_input, to_browser = os.pipe()
        arguments = ARGUMENTS + ([] if os.geteuid() else ["--no-sandbox"])  # Chromium's sandbox refuses root
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{its_input} 4>&{its_output}', "bash", CHROMIUM, *arguments, f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(its_input, its_output), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(its_input)
        os.close(its_output)
        self.reads, self.writes = from_browser, to_browser
        self.number, self.buffer, self.events = 0, b"", []

    def close(self):
        try:
            self.call("Browser.close")
        except (OSError, AssertionError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # all that is left of the group
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.reads)
        os.close(self.writes)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reads], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self.reads, 1 << 20)
            assert read, "the browser has ended"
            self.buffer += read
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, seconds=20, **parameters):
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self.writes, json.dumps(asked).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            message = self.message(deadline)
            if message.get("id") == self.number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def page(self, width=1280, height=900):
        return Page(self, width, height)


class Page:
    """A tab with cookies of its own."""

    def __init__(self, browser, width, height):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        self.target = browser.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def call(self, method, **parameters):
        return self.browser.call(method, session=self.session, **parameters)

    def close(self):
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def size(self, width, height, mobile=False, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def prefer(self, **features):
        self.call("Emulation.setEmulatedMedia", features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def open(self, url):
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    def eval(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, expression, seconds=15):
        """Waits until the expression is true, and returns it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.eval(expression)
            except AssertionError:
                value = None  # between two documents
            if value:
                return value
            assert time.monotonic() < deadline, f"{expression} did not become true; the page says: {self.text()[:1500]}"
            time.sleep(0.03)

    def text(self, selector="body"):
        return self.eval(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def click(self, selector):
        """Clicks on the middle of the element, where a person could: what moves the page between two calls cannot come in between."""
        self.wait(f"""(() => {{
            const one = document.querySelector({json.dumps(selector)});
            if (!one) return false;
            one.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = one.getBoundingClientRect();
            const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
            if (!hit || !one.contains(hit)) return false;
            (hit instanceof HTMLElement ? hit : one).click();
            return true;
        }})()""")

    def key(self, key):
        codes = {"Escape": 27, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        typed = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": codes[key], "code": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **typed)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, path, full=True, quality=90):
        """`quality` is that of a .webp; any other name gets a PNG."""
        kind = {"format": "webp", "quality": quality} if str(path).endswith(".webp") else {"format": "png"}
        image = self.call("Page.captureScreenshot", captureBeyondViewport=full, **kind)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

    def errors(self):
        """What the console holds: exceptions, refused resources, console.error."""
        self.eval("1")
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"):
                found.append(event["params"]["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning", "assert"):
                found.append(str(event["params"]["args"]))
        return found
