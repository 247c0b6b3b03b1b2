# SPDX-License-Identifier: Apache-2.0
"""The status page in a real browser: what it tells, on a desk and on a phone, bright and dark. With
DCB_SCREENSHOTS=FOLDER it leaves pictures there to look at."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from support.browser import Browser
from support.golden import OWN
from support.http_node import HttpNode, StalledPeer
from support.make_dcbs import repeat_series
from support.node import require, run

PHANTOM = OWN / "ct_phantom_small" / "series.dcbs"

# By WCAG 2: relative luminance, and the contrast of every text's colour to what is behind it.
CONTRAST = """
  const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  let least = 99, where = "";
  for (const e of document.querySelectorAll("h1, h2, p, th, td, dt, dd, small, label, a, button, b, "
      + "summary span, input, figcaption")) {
    if (!e.offsetWidth || !e.textContent.trim() || e.className === "skip") continue;
    const [a, b] = [luminance(rgb(getComputedStyle(e).color)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least) { least = ratio; where = e.tagName + " " + e.textContent.slice(0, 40); }
  }
  return [least, where];
"""
TEXT = "return document.getElementById(arguments[0]).innerText"


class StatusPage(unittest.TestCase):
    def setUp(self):
        require("getscu", "echoscu", "chromium", "chromedriver")
        folder = tempfile.TemporaryDirectory(prefix="page-")
        self.addCleanup(folder.cleanup)
        self.archive = pathlib.Path(folder.name)
        shutil.copy(PHANTOM, self.archive / "ct.dcbs")
        repeat_series(self.archive / "many.dcbs", PHANTOM, 80, "1.2.3.4", edit=self.rename)
        pictures = os.environ.get("DCB_SCREENSHOTS")
        self.pictures = pathlib.Path(pictures) if pictures else pathlib.Path(folder.name) / "png"
        self.pictures.mkdir(exist_ok=True)

    @staticmethod
    def rename(tags):
        """A description that would be markup."""
        tags["00081030"] = {"vr": "LO", "shared": True, "Value": "<img src=x onerror=alert(1)>"}

    def test_what_it_tells(self):
        with HttpNode(self.archive, patient_data=True) as node, Browser() as browser, \
                StalledPeer(node) as peer:
            run("echoscu", "-aec", "NOBODY", "-aet", "<u>x</u>", *node.address(), check=False)
            browser.size(1200, 900)
            browser.open(node.url + "/")
            browser.wait_for("return document.getElementById('state').textContent === 'ready'")
            self.assertEqual(browser.run(TEXT, "title"), "DCBSCP")
            self.assertIn(f"127.0.0.1:{node.port}", browser.run(TEXT, "where"))
            cards = browser.run("return Object.fromEntries([...document.querySelectorAll('#cards "
                                "div')].map(d => [d.children[0].textContent, "
                                "d.children[1].firstChild.textContent]))")
            self.assertEqual((cards["Studies"], cards["Instances"]), ("2", str(node.ninstances)))
            self.assertRegex(browser.run(TEXT, "refusals"), r"<u>x</u>\s.*called AE title")
            self.running(browser, peer)
            self.studies(browser, node)
            self.looks(browser)
            self.assertEqual(browser.complaints(), [])
            self.assertEqual(browser.run("return document.querySelectorAll('td u, summary img')"
                                         ".length"), 0)

    def test_several_titles(self):
        """Each is searched by itself."""
        research = self.archive.parent / (self.archive.name + "-research")
        research.mkdir()
        self.addCleanup(shutil.rmtree, research)
        shutil.copy(OWN / "tiny3" / "series.dcbs", research / "tiny.dcbs")
        title = f"{{ae_title: RESEARCH, archives: [{research}]}}"
        with HttpNode(self.archive, "--title", title, patient_data=True) as node, \
                Browser() as browser:
            browser.size(390, 844, True)
            browser.open(node.url + "/")
            browser.wait_for("return !document.getElementById('of-label').hidden")
            counts = {}
            for name in ("DCBSCP", "RESEARCH"):
                browser.run("document.getElementById('studies').replaceChildren();"
                            "document.getElementById('of').value = arguments[0];"
                            "document.getElementById('search').requestSubmit()", name)
                counts[name] = browser.wait_for(
                    "return document.querySelectorAll('#studies summary').length")
                browser.run("document.querySelector('#studies summary').click()")
                sizes = browser.wait_for(
                    "const all = [...document.querySelectorAll('#studies img')];"
                    "all.forEach(i => i.loading = 'eager');"
                    "return all.length > 0 && all.every(i => i.complete && i.naturalWidth) && "
                    "all.map(i => i.naturalWidth)")
                self.assertEqual(set(sizes), {160})
            self.assertEqual(counts, {"DCBSCP": 2, "RESEARCH": 1})
            self.assertEqual(browser.run("return document.documentElement.scrollWidth"), 390)
            browser.screenshot(self.pictures / "titles.png")
            self.assertEqual(browser.complaints(), [])

    def running(self, browser, peer):
        """A retrieval's progress is seen, and grows until it is over."""
        client = subprocess.Popen(
            ["getscu", "-S", "-aec", "DCBSCP", "--ignore", "-k", "QueryRetrieveLevel=STUDY", "-k",
             "StudyInstanceUID=1.2.3.4.1", "127.0.0.1", str(peer.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer.stall_after(200000)
        done, most = browser.wait_for(
            "const p = document.querySelector('#running progress');"
            "return p && p.value > 0 && [p.value, p.max]")
        self.assertEqual(most, 80)
        self.assertTrue(0 < done < 80, done)
        row = browser.run("return document.querySelector('#running tbody tr').innerText")
        self.assertRegex(row, r"(?s)GETSCU.*C-GET.*\d+ of 80")
        browser.screenshot(self.pictures / "running.png")
        peer.go_on()
        self.assertEqual(client.wait(120), 0)
        browser.wait_for("return document.getElementById('running').hidden")
        self.assertTrue(browser.wait_for(
            "return /C-GET\\s+0000\\s+success\\s+1/.test(document.getElementById('operations')"
            ".innerText)"))
        points = browser.wait_for("const line = document.querySelector('#throughput polyline');"
                                  "return line && line.getAttribute('points')")
        self.assertIn(",", points)
        label = browser.run("return document.getElementById('throughput').getAttribute('aria-label')")
        self.assertRegex(label, r"now out .*/s, in .*/s")

    def studies(self, browser, node):
        browser.run("document.getElementById('q').value = '1.2.3.4';"
                    "document.getElementById('search').requestSubmit()")
        browser.wait_for("return document.getElementById('found').textContent === "
                         "'No study matches.'")
        browser.run("document.getElementById('q').value = '';"
                    "document.getElementById('search').requestSubmit()")
        browser.wait_for("return document.querySelectorAll('#studies summary').length === 2")
        name = str(node.findscu("QueryRetrieveLevel=STUDY", "PatientName")[0].PatientName)
        text = browser.run(TEXT, "studies")
        self.assertIn(name.split("^")[0], text)
        self.assertIn("<img src=x onerror=alert(1)>", text)
        browser.run("document.querySelectorAll('#studies summary').forEach(s => s.click())")
        sizes = browser.wait_for(
            "const all = [...document.querySelectorAll('#studies img')];"
            "all.forEach(i => i.loading = 'eager');"
            "return all.length === 2 && all.every(i => i.complete && i.naturalWidth) && "
            "all.map(i => [i.naturalWidth, i.alt])")
        self.assertEqual([size for size, _ in sizes], [160, 160])
        self.assertTrue(all("Middle image" in alt for _, alt in sizes))

    def looks(self, browser):
        for name, width, height, phone in (("desk", 1200, 900, False), ("phone", 390, 844, True)):
            browser.size(width, height, phone)
            for dark in (False, True):
                browser.dark(dark)
                self.assertEqual(browser.wait_for(
                    "return document.documentElement.scrollWidth"), width, name)
                least, where = browser.run(CONTRAST)
                self.assertGreaterEqual(least, 4.5, f"{name}, dark {dark}: {where}")
                browser.screenshot(self.pictures / f"{name}-{'dark' if dark else 'bright'}.png")
        # Labels for all that is to be filled in, a heading for every part, one main.
        self.assertEqual(browser.run(
            "return [...document.querySelectorAll('input, select')].filter(i => !i.labels.length).length"), 0)
        self.assertEqual(browser.run(
            "return [...document.querySelectorAll('section')].filter(s => "
            "!s.getAttribute('aria-label') && !document.getElementById("
            "s.getAttribute('aria-labelledby'))).length"), 0)
        self.assertEqual(browser.run("return document.querySelectorAll('main').length"), 1)
        self.assertEqual(browser.run("return document.documentElement.lang"), "en")

    def test_without_patient_data_and_when_the_node_is_gone(self):
        with Browser() as browser:
            with HttpNode(self.archive) as node:
                browser.open(node.url + "/")
                browser.wait_for("return document.getElementById('state').textContent === 'ready'")
                self.assertFalse(browser.run(
                    "return document.getElementById('search-closed').hidden"))
                self.assertTrue(browser.run("return document.getElementById('q-label').hidden"))
                browser.run("document.getElementById('search').requestSubmit()")
                browser.wait_for("return document.querySelectorAll('#studies li').length === 2")
                name = str(node.findscu("QueryRetrieveLevel=STUDY", "PatientName")[0].PatientName)
                self.assertNotIn(name.split("^")[0], browser.run("return document.body.innerText"))
            browser.wait_for("return document.getElementById('state').textContent === "
                             "'the node does not answer'")


if __name__ == "__main__":
    unittest.main()
