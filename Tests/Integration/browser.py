# SPDX-License-Identifier: Apache-2.0
"""A Chromium without a window, with a profile of its own, and what a test needs of it."""
import contextlib
import os
import pathlib
import shutil
import signal

from conftest import HERE
from hub import until
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

PAGE = HERE / "page"
BOUND = 30  # seconds, for whatever a page waits for; only what fails waits so long


class Browser:
    """Runs from the start to the end of a `with`. Both programs are named, so that selenium looks for none."""

    def __init__(self, folder, *more_switches, without=()):
        browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
        assert browser and driver, "no Chromium or no driver of it; .ci/setup.sh installs them"
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        switches = ["headless=new", f"user-data-dir={folder}", "no-first-run", "no-proxy-server", "disable-sync",
                    "disable-background-networking", "disable-component-update", "disable-breakpad", "disable-dev-shm-usage",
                    *more_switches]
        if os.geteuid() == 0:
            switches.append("no-sandbox")
        for switch in switches:
            options.add_argument("--" + switch)
        options.add_experimental_option("excludeSwitches", list(without))  # of those that the driver adds
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.service = Service(driver, log_output=str(pathlib.Path(folder) / "driver.log"))
        self.driver = webdriver.Chrome(options, self.service)
        self.process = self.driver.capabilities["goog:processID"]
        self.driver.set_script_timeout(BOUND + 10)  # a page that gives up by itself says what there was instead
        self.driver.set_page_load_timeout(60)  # the first one waits until the browser is up

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.driver.quit()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            until(lambda: not is_running(self.process), BOUND)

    def run(self, body, *arguments):
        """What a function of the page returns. It may wait."""
        return self.driver.execute_script(f"return (async () => {{ {body} }})()", *arguments)

    @contextlib.contextmanager
    def asleep(self):
        """All its processes stand still, as when the machine sleeps; nothing can be asked of it meanwhile."""
        processes = [self.process, *descendants(self.process)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def console(self):
        """What the browser has said to whom debugs the page, since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


def is_running(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def descendants(process):
    below = [int(child) for task in pathlib.Path(f"/proc/{process}/task").iterdir() for child in (task / "children").read_text().split()]
    return below + [further for child in below for further in descendants(child)]
