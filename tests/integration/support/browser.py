# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by chromedriver's W3C WebDriver."""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

START_SECONDS = 120


class Browser:
    """Within its `with` block; skips the test where Chromium or its driver is missing."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        driver = shutil.which("chromedriver")
        chromium = shutil.which("chromium")
        if driver is None or chromium is None:
            raise unittest.SkipTest("chromium and chromium-driver are not installed")
        self.home = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [driver, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            env={**os.environ, "HOME": self.home.name})
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                match = re.search(r"started successfully on port (\d+)", line)
                if match:
                    break
            else:
                raise AssertionError("chromedriver did not start")
            self.base = f"http://127.0.0.1:{match[1]}"
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                         "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                         "--disable-background-networking",
                         f"--user-data-dir={self.home.name}/profile", *self.arguments]
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"binary": chromium, "args": arguments}}}})
            self.base += "/session/" + session["sessionId"]
        except BaseException:
            self.__exit__(None, None, None)
            raise
        finally:
            watchdog.cancel()
        return self

    def __exit__(self, *_):
        if "/session/" in getattr(self, "base", ""):
            try:
                self._call("DELETE", "")
            except OSError:
                pass
        # Chromium's own processes are in the driver's session, which this test began.
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
        self.home.cleanup()

    def _call(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=START_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"chromedriver: {error.read().decode()[:600]}") from None

    def size(self, width, height, phone=False):
        """The page's own size; with phone, a phone's screen and not a narrow window."""
        self._call("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": {"width": width, "height": height, "deviceScaleFactor": 1,
                       "mobile": phone}})

    def dark(self, on):
        self._call("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setEmulatedMedia",
            "params": {"features": [{"name": "prefers-color-scheme",
                                     "value": "dark" if on else "light"}]}})

    def open(self, url):
        self._call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value of a function's body in the page."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script, seconds=60):
        """The first true value of the function's body."""
        end = time.monotonic() + seconds
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}; the page:\n"
                                     + self.run("return document.body.innerText")[-3000:])
            time.sleep(0.1)

    def complaints(self):
        """What the page's console has at warning and above: errors, violations of its policy."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})
                if entry["level"] in ("WARNING", "SEVERE")]

    def screenshot(self, path, whole=True):
        done = self._call("POST", "/goog/cdp/execute", {
            "cmd": "Page.captureScreenshot",
            "params": {"format": "png", "captureBeyondViewport": whole}})
        pathlib.Path(path).write_bytes(base64.b64decode(done["data"]))
