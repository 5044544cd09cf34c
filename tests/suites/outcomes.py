"""For pytest: what became of each test, one a line, in the file that SUITE_OUTCOMES names. Where
SUITE_ONLY names a file, only the tests that are listed there run."""

import os


class Outcomes:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.found = {}

    def pytest_collection_modifyitems(self, config, items):
        path = os.environ.get("SUITE_ONLY")
        if not path:
            return
        with open(path, encoding="utf-8") as file:
            names = set(file.read().splitlines())
        config.hook.pytest_deselected(items=[item for item in items if name(item) not in names])
        items[:] = [item for item in items if name(item) in names]

    def pytest_runtest_logreport(self, report):
        outcome = report.outcome
        if report.failed and report.when != "call":
            outcome = "error"
        found = self.found.setdefault(plain(report.nodeid), [])
        # One that has passed says so in each of its phases, and of its subtests.
        if (outcome != "passed" or report.when == "call") and outcome not in found:
            found.append(outcome)

    def pytest_runtest_logfinish(self, nodeid):
        # At once, so that a suite that hangs tells how far it has come.
        nodeid = plain(nodeid)
        self.file.write(f"{'+'.join(self.found.pop(nodeid, []))} {nodeid}\n")
        self.file.flush()


def plain(nodeid):
    return nodeid.replace("\n", "\\n")


def name(item):
    return plain(item.nodeid)


def pytest_configure(config):
    config.pluginmanager.register(Outcomes(os.environ["SUITE_OUTCOMES"]))
