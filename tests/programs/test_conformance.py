# SPDX-License-Identifier: Apache-2.0
"""scp/CONFORMANCE.md against the source's tables, and against what a node answers to a peer that
proposes everything. What a test wants to read differently there, it says."""
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from upper_layer import APPLICATION_CONTEXT, associate

NODE = Path(os.environ["DCB_BIN_DIR"]) / "dcbscp"
SAMPLE = Path(os.environ["DCB_SAMPLE_DIR"])
SCP = Path(os.environ["DCB_SOURCE_DIR"]) / "scp"
READER = SCP.parent / "reader"
IMPLICIT = "1.2.840.10008.1.2"
CT = "1.2.840.10008.5.1.4.1.1.2"
CT_GET = "1.2.840.10008.5.1.4.1.2.2.3"


def tables():
    """The document's tables as {first header: [rows]}, cells without their code marks."""
    found, rows = {}, None
    for line in (SCP / "CONFORMANCE.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            rows = None
            continue
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if rows is None:
            # Two tables of attributes begin alike.
            name = cells[0] if cells[0] != "level" else cells[2]
            rows = found[name] = []
        elif not re.fullmatch(r"[-|]+", line):
            rows.append(cells)
    return found


def source(path):
    return path.read_text(encoding="utf-8")


class Node:
    """A node over the sample archive."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.state = tempfile.TemporaryDirectory(prefix="dcbscp-conformance.")
        self.process = subprocess.Popen(
            [NODE, "--archive", SAMPLE, "--state", self.state.name, "--port", "0", *self.options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        match = re.match(r"dcbscp: listening on (\S+):(\d+) as ", line)
        if match is None:
            self.__exit__()
            raise AssertionError(f"no ready line but {line!r}")
        self.address = (match[1], int(match[2]))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()
        self.state.cleanup()


class ConformanceTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.tables = tables()
        cls.store = tempfile.TemporaryDirectory(prefix="dcbscp-store.")
        cls.addClassCleanup(cls.store.cleanup)
        cls.taking = Node("--store", cls.store.name)
        cls.addClassCleanup(cls.taking.__exit__)
        cls.taking.__enter__()

    def ask(self, contexts, roles=(), node=None):
        answer = associate((node or self.taking).address, "DCBSCP", contexts, roles=roles)
        self.assertIsNone(answer.rejected)
        self.assertEqual(len(answer.contexts), len(contexts))
        return answer

    # ---- SOP classes ----

    def test_service_classes(self):
        known = source(SCP / "sop_classes.c")
        uids = dict(re.findall(r'#define (UID_\w+)\s+"([0-9.]+)"', source(SCP / "sop_classes.h")))
        classes = {uids[macro]: name
                   for macro, name in re.findall(r'\{(UID_\w+), "(\w+)", SOP_', known)}
        rows = self.tables["SOP class"]
        self.assertEqual({uid: classes.get(uid) for _, uid, *_ in rows},
                         {uid: name for name, uid, *_ in rows}, "UIDs or names in section 1")
        answer = self.ask([(uid, [IMPLICIT]) for uid in classes])
        accepted = {uid for i, uid in enumerate(classes) if answer.contexts[i][0] == 0}
        self.assertEqual({uid for _, uid, _, scp in rows if scp == "yes"}, accepted,
                         "section 1 and what the node accepts")

    def test_storage_classes(self):
        rows = [tuple(row) for row in self.tables["UID"]]
        array = re.search(r"storage_classes\[\] = \{(.*?)^\};", source(SCP / "sop_classes.c"),
                          re.DOTALL | re.MULTILINE)[1]
        known = re.findall(r'\{\s*"([0-9.]+)",\s*"(\w+)"\}', array)
        self.assertEqual(rows, known, "section 8.1 and sop_classes.c")
        for start in range(0, len(rows), 100):
            part = rows[start:start + 100]
            answer = self.ask([(uid, [IMPLICIT]) for uid, _ in part])
            for i, (uid, name) in enumerate(part):
                self.assertEqual(answer.contexts[i], (0, IMPLICIT), f"{uid} {name}")
        answer = self.ask([("1.2.3.4.5", [IMPLICIT]), (CT, ["1.2.3.4.6"])])
        self.assertEqual([answer.contexts[i][0] for i in (0, 1)], [3, 4])

    # ---- Transfer syntaxes ----

    def expect_order(self, abstract, table, others=(), node=None, roles=()):
        """Of all from the i-th on, proposed the other way round, the i-th is chosen; what is not in
        the table is refused."""
        wanted = [row[1] for row in self.tables[table]]
        every = set(re.findall(r'"(1\.2\.840\.10008\.1\.2(?:\.[0-9.]+)?)"',
                               source(SCP / "sop_classes.h") + source(SCP / "negotiation.c")))
        contexts = [(abstract, wanted[i:][::-1]) for i in range(len(wanted))]
        contexts.append((abstract, sorted(every - set(wanted)) + ["1.2.3.4.6"]))
        answer = self.ask([*contexts, *others], roles, node)
        chosen = [answer.contexts[i][1] for i in range(len(wanted))]
        self.assertEqual(wanted, chosen, f"table \"{table}\" and what the node prefers")
        self.assertEqual(answer.contexts[len(wanted)][0], 4,
                         f"the node takes a syntax that table \"{table}\" does not have")

    def test_syntaxes_of_messages(self):
        for _, uid, _, scp in self.tables["SOP class"]:
            if scp == "yes":
                self.expect_order(uid, "message")

    def test_syntaxes_of_what_is_retrieved(self):
        with Node() as node:
            self.expect_order(CT, "retrieved", [(CT_GET, [IMPLICIT])], node)

    def test_syntaxes_of_what_is_stored(self):
        self.expect_order(CT, "stored")

    # ---- Negotiation ----

    def test_identification(self):
        said = dict(self.tables["identification"])
        answer = self.ask([("1.2.840.10008.1.1", [IMPLICIT])])
        self.assertEqual(said, {"Implementation Class UID": answer.class_uid,
                                "Implementation Version Name": answer.version_name,
                                "Application context name": answer.application})
        options = {row[0]: row[1] for row in self.tables["option"]}
        self.assertEqual(options["max_pdu"], str(answer.max_pdu))

    def test_rejections(self):
        echo = [("1.2.840.10008.1.1", [IMPLICIT])]
        provoke = {
            (1, 1, 1): {"max_pdu": 13},
            (1, 1, 2): {"application": APPLICATION_CONTEXT + ".1"},
            (1, 1, 3): {"calling": ""},
            (1, 1, 7): {"called": "SOMEBODY"},
            (1, 2, 2): {"version": 2},
        }
        rows = {tuple(int(cell) for cell in row[:3]) for row in self.tables["result"]}
        self.assertEqual(rows, {*provoke, (2, 3, 2)}, "table \"result\" and what is tried here")
        for triple, how in provoke.items():
            how = dict(how)
            called = how.pop("called", "DCBSCP")
            answer = associate(self.taking.address, called, echo, **how)
            self.assertEqual(answer.rejected, triple, how)
        conf = Path(self.store.name) / "limit.yaml"
        conf.write_text("max_associations: 1\n", encoding="utf-8")
        with Node("-c", str(conf)) as node:
            _, connection = associate(node.address, "DCBSCP", echo, hold=True)
            with connection:
                self.assertEqual(associate(node.address, "DCBSCP", echo).rejected, (2, 3, 2))
        with Node("--access", "{addresses: [192.0.2.1], allow: all}") as node:
            self.assertEqual(associate(node.address, "DCBSCP", echo).rejected, (1, 1, 3))
        texts = "".join(source(path) for pattern in ("*.c", "*.cc") for path in SCP.glob(pattern))
        for row in self.tables["result"]:
            self.assertIn(row[3], texts, "the log's words for a rejection")

    # ---- Attributes, statuses, options, character sets ----

    def test_attributes(self):
        record = source(SCP / "index_record.c")
        known = []
        for level, array in (("PATIENT", "patient_tags"), ("STUDY", "study_tags"),
                             ("SERIES", "series_tags")):
            body = re.search(array + r"\[\] = \{(.*?)\};", record, re.DOTALL)[1]
            known += [(level, f"({tag[:4]},{tag[4:]})".upper())
                      for tag in re.findall(r"0x([0-9a-fA-F]{8})", body)]
        rows = [tuple(row[:2]) for row in self.tables["keyword"] if row[0] != "IMAGE"]
        self.assertEqual(rows, known, "section 4.2.4 and index_record.c")
        from pydicom.datadict import dictionary_keyword, keyword_dict
        for table in ("keyword", "computed"):
            for _, tag, keyword in self.tables[table]:
                number = int(tag[1:5] + tag[6:10], 16)
                self.assertEqual(dictionary_keyword(number), keyword)
                self.assertEqual(keyword_dict[keyword], number)
        computed = re.search(r"computed\[\] = \{(.*?)^\};", source(SCP / "find_response.c"),
                             re.DOTALL | re.MULTILINE)[1]
        computed = re.sub(r"/\*.*?\*/", "", computed)
        levels = re.findall(r"LEVEL_(\w+)\}", computed)
        rows = [row[0] for row in self.tables["computed"]]
        rows += [row[0] for row in self.tables["keyword"] if row[0] == "IMAGE"]
        self.assertEqual(rows, levels, "computed attributes, and find_response.c")

    def test_statuses(self):
        known = re.findall(r'X\(\w+, 0x([0-9A-F]{4}), "([^"]+)",\s*(?:\\\s*)?"([^"]+)"\)',
                           source(SCP / "dimse_status.h"))
        self.assertGreater(len(known), 10)
        self.assertEqual([(row[0], row[3], row[1]) for row in self.tables["status"]], known,
                         "section 4.2.8 and dimse_status.h")

    def test_options(self):
        text = subprocess.run([NODE, "--help"], capture_output=True, text=True, check=True).stdout
        defaults = {name.replace("-", "_"): value for name, value in re.findall(
            r"^  (?:--)?([a-z_-]+) [^\[\n]*\[([^\]\n]+)\]$", text, re.MULTILINE)}
        rows = {name: default for name, default, _ in self.tables["option"]}
        self.assertEqual(rows, {name: defaults.get(name) for name in rows},
                         "defaults in section 4.4")
        timers = {name for name in defaults if name.endswith("_timeout_s")}
        timers |= {name for name in defaults if name.startswith("max_")}
        self.assertLessEqual(timers, set(rows), "section 4.4 has every timer and limit")

    def test_character_sets(self):
        sets = source(READER / "charset_sets.c")
        # ISO_IR 14, romaji, has no term of its own: it comes with ISO_IR 13.
        numbers = set(re.findall(r"= \{([1-9][0-9]*), \"", sets))
        terms = {row[0] for row in self.tables["defined term"] if row[0]}
        extended = {row[1] for row in self.tables["defined term"] if row[1]}
        said = {term.split()[-1] for term in terms | extended if " " in term}
        self.assertEqual(said, numbers, "section 6 and charset_sets.c")
        alone = set(re.findall(r'\{"(GB[A-Z0-9]+)", DCB_SET_(?:GB18030|GBK)\}',
                               source(READER / "charset.c"))) - {"GB2312"}
        self.assertEqual({term for term in terms if term.startswith("GB")}, alone)


if __name__ == "__main__":
    unittest.main()
