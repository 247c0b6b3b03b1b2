# SPDX-License-Identifier: Apache-2.0
"""C-MOVE on the wire (PS3.4 C.4.2): what a destination gets, every status with its counters, and
destinations that refuse, break off, stay silent or are not there. The destination is a storage SCP
of the tests' own that answers by a script; Debian's programs are in test_move_judges.py."""

import io
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import pydicom

from support import compare, judges, studies
from support.make_dcbs import read_dcbs
from support.node import CLIENT, Node, failed_uids, require, responses, stock_environment
from support.store_scp import ABORT, HANG_UP, RELEASE, SILENT, StoreScp, first_of, text, u16
from support.studies import CT, GOOD, GOOD_UID, LONG, MIXED, MR, PHANTOM

HTJ2K, HTJ2K_ANY = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
OTHERWISE_COMPRESSED = ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90",
                        "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"]
COUNTS = ("completed", "failed", "warning")


def counts(fields):
    return tuple(int(fields.get(name, 0)) for name in COUNTS)


def free_port():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def as_instance(stored):
    """What arrived, as pydicom reads it from a file."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = text(stored.command[0x0002])
    meta.MediaStorageSOPInstanceUID = text(stored.command[0x1000])
    meta.TransferSyntaxUID = stored.syntax
    meta.ImplementationClassUID = "1.2.3"
    file = io.BytesIO()
    file.write(b"\0" * 128 + b"DICM")
    pydicom.filewriter.write_file_meta_info(file, meta)
    file.write(stored.data)
    file.seek(0)
    return pydicom.dcmread(file)


class Move(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("zstd")
        cls.folder = tempfile.TemporaryDirectory(prefix="archive-")
        cls.archive = pathlib.Path(cls.folder.name)
        studies.write(cls.archive)
        cls.sources = {str(s.SOPInstanceUID): s for s in map(
            pydicom.dcmread, (PHANTOM / "source").glob("*.dcm"))}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def node(self, *destinations, **settings):
        """A node with {name: value} destinations; settings are options of the file."""
        config = "".join(f"{name}: {value}\n" for name, value in settings.items())
        if destinations:
            config += "destinations:\n"
        for one in destinations:
            one = {"ae_title": "DEST", "host": "127.0.0.1", **one}
            config += "  - {" + ", ".join(f"{k}: {v}" for k, v in one.items()) + "}\n"
        path = self.archive / f"{self.id()}.yaml"
        path.write_text(config)
        return Node(self.archive, "-c", path, "--log-level", "debug")

    @staticmethod
    def move(node, study, *options, destination="DEST"):
        return node.client("move", "--destination", destination, "--level", "STUDY", "--key",
                           f"0020000D={study}", *options, check=False)

    def final(self, done):
        """(status, fields) of the final response; those before it are looked over."""
        self.assertNotIn("garbage", done.text)
        *pending, (status, fields) = responses(done.text)
        for one, its in pending:
            self.assertEqual(one, "FF00")
            self.assertNotIn("comment", its)
            self.assertEqual(set(its), {"remaining", *COUNTS})
        sums = {int(its["remaining"]) + sum(counts(its)) for _, its in pending}
        self.assertLessEqual(len(sums), 1)
        remaining = [int(its["remaining"]) for _, its in pending]
        self.assertEqual(remaining, sorted(remaining, reverse=True))
        if status in ("0000", "B000", "A702"):
            self.assertNotIn("remaining", fields)
        return status, fields

    # ---- What arrives ----

    def check_against_sources(self, scp, syntax):
        self.assertEqual(sorted(scp.uids()), sorted(self.sources))
        for stored in scp.stored:
            self.assertEqual(stored.syntax, syntax)
            served = as_instance(stored)
            samples = (judges.htj2k_samples(served) if syntax in judges.HTJ2K
                       else compare.native_samples(served))
            source = self.sources[str(served.SOPInstanceUID)]
            self.assertEqual(compare.pixel_differences(source, served, samples, 0), [])
            self.assertEqual(served.PatientName, source.PatientName)
            self.assertEqual(served.ImagePositionPatient, source.ImagePositionPatient)

    def test_each_gets_what_it_takes(self):
        for accepted in (HTJ2K, HTJ2K_ANY, EXPLICIT, IMPLICIT):
            with self.subTest(accepted), StoreScp(accept=first_of(accepted)) as scp, \
                    self.node({"port": scp.port}) as node:
                status, fields = self.final(self.move(node, GOOD))
                self.assertEqual((status, counts(fields)), ("0000", (8, 0, 0)))
                self.check_against_sources(scp, accepted)

    def test_as_stored_where_it_takes_all(self):
        with StoreScp() as scp, self.node({"port": scp.port}) as node:
            self.assertEqual(self.final(self.move(node, GOOD))[0], "0000")
            self.check_against_sources(scp, HTJ2K)
            frames = read_dcbs(PHANTOM / "series.dcbs")[2]
            for stored in scp.stored:
                self.assertEqual(sum(frame in stored.data for frame in frames), 1)
            # HTJ2K and the uncompressed syntaxes in separate contexts, so that it chooses.
            association, = scp.associations
            self.assertEqual([(abstract, syntaxes) for _, abstract, syntaxes in
                              association.proposed],
                             [(CT, [HTJ2K, HTJ2K_ANY]), (CT, [EXPLICIT, IMPLICIT]),
                              (CT, OTHERWISE_COMPRESSED)])
            self.assertEqual(association.end, ["released"])

    def test_a_destination_of_few_contexts(self):
        with StoreScp(most_contexts=1) as scp, self.node({"port": scp.port}) as node:
            self.assertEqual(self.final(self.move(node, GOOD))[0], "0000")
            self.check_against_sources(scp, HTJ2K)

    def test_maximum_pdu(self):
        for limit in (0, 128, 4096, 4097, 1 << 20):
            with self.subTest(limit), StoreScp(max_pdu=limit) as scp, \
                    self.node({"port": scp.port}) as node:
                self.assertEqual(self.final(self.move(node, GOOD))[0], "0000")
                self.check_against_sources(scp, HTJ2K)
                sizes = [size for stored in scp.stored for size in stored.pdu_sizes]
                self.assertLessEqual(max(sizes), limit or max(sizes))
                self.assertTrue(all(size % 2 == 0 for size in sizes))
                if limit == 0:  # command and data set have a PDU each
                    self.assertTrue(all(len(s.pdu_sizes) == 2 for s in scp.stored))

    def test_the_requests(self):
        with StoreScp() as scp, self.node({"port": scp.port}) as node:
            self.move(node, MIXED, "--aet", "WORKSTATION")
            association, = scp.associations
            self.assertEqual((association.calling, association.called), ("DCBSCP", "DEST"))
            self.assertEqual(len(scp.stored), 6)
            for i, stored in enumerate(scp.stored):
                command = stored.command
                self.assertEqual(text(command[0x1030]), "WORKSTATION")  # Move Originator
                self.assertEqual(u16(command, 0x1031), 1)
                self.assertEqual(u16(command, 0x0110), i + 1)
                self.assertEqual(u16(command, 0x0700), 0)
                self.assertEqual(list(command), sorted(command))
                self.assertEqual(text(command[0x0002]), as_instance(stored).SOPClassUID)
                self.assertEqual(text(command[0x1000]), as_instance(stored).SOPInstanceUID)

    def test_parallel_associations(self):
        together = threading.Barrier(4)

        def answer(n, _):
            if n <= 4:
                together.wait(30)  # fails unless four are under way at the same time
            return 0
        with StoreScp(answer) as scp, \
                self.node({"port": scp.port, "associations": 4}) as node:
            status, fields = self.final(self.move(node, LONG))
            self.assertEqual((status, counts(fields)), ("0000", (400, 0, 0)))
            self.assertEqual(len(scp.associations), 4)
            self.assertEqual(len(scp.stored), 400)
            self.assertEqual(set(scp.uids()), {f"1.2.7.1.3.{i}" for i in range(1, 401)})
            scp.wait_for(lambda s: [a.end for a in s.associations] == [["released"]] * 4)

    def test_several_destinations(self):
        with StoreScp() as one, StoreScp(accept=first_of(IMPLICIT)) as two, \
                self.node({"port": one.port}, {"ae_title": "TWO", "port": two.port},
                          {"ae_title": "SELF", "host": "peer", "port": two.port}) as node:
            for destination, scp, n in (("DEST", one, 8), ("TWO", two, 8), ("SELF", two, 16)):
                done = self.move(node, GOOD, destination=destination)
                self.assertEqual(self.final(done)[0], "0000")
                self.assertEqual(len(scp.stored), n)
            self.assertEqual([a.called for a in two.associations], ["TWO", "SELF"])

    # ---- Statuses ----

    def test_final_statuses(self):
        all_good = [GOOD_UID + str(i) for i in range(1, 9)]
        damaged = [f"1.2.7.4.3.{i}" for i in range(8)]

        def nth(n, status):
            return lambda i, _: status if i == n else 0

        def class_only(sop_class):
            return lambda abstract, proposed: proposed[0] if abstract == sop_class else None
        for what, study, script, status, numbers, failed, comment in (
                ("all succeed", GOOD, {}, "0000", (8, 0, 0), [], ""),
                ("none match", "1.2.3.99", {}, "0000", (0, 0, 0), [], ""),
                ("one refused", GOOD, {"answer": nth(2, 0xA700)}, "B000", (7, 1, 0),
                 [GOOD_UID + "2"], "A700"),
                ("one warned", GOOD, {"answer": nth(3, 0xB000)}, "B000", (7, 0, 1), [], ""),
                ("all warned", GOOD, {"answer": lambda n, _: 0xB007}, "B000", (0, 0, 8), [], ""),
                ("all refused", GOOD, {"answer": lambda n, _: 0xA900}, "A702", (0, 8, 0), all_good,
                 "A900"),
                ("one undecodable", studies.PARTLY, {"accept": first_of(EXPLICIT)}, "B000",
                 (7, 1, 0), ["1.2.7.5.3.3"], ""),
                ("all undecodable", studies.DAMAGED, {"accept": first_of(IMPLICIT)}, "A702",
                 (0, 8, 0), damaged, ""),
                ("no context for one class", MIXED, {"accept": class_only(CT)}, "B000", (3, 3, 0),
                 [f"1.2.7.2.3.{i}" for i in (1, 2, 3)], "no presentation context"),
                ("no context at all", GOOD, {"accept": class_only(MR)}, "A702", (0, 8, 0),
                 all_good, "no presentation context"),
                ("comes back after A-ABORT", GOOD, {"answer": nth(4, ABORT)}, "0000", (8, 0, 0),
                 [], ""),
                ("comes back after hanging up", GOOD, {"answer": nth(4, HANG_UP)}, "0000",
                 (8, 0, 0), [], ""),
                ("comes back after a release", GOOD, {"answer": nth(4, RELEASE)}, "0000",
                 (8, 0, 0), [], "")):
            with self.subTest(what), StoreScp(**script) as scp, \
                    self.node({"port": scp.port}) as node:
                done = self.move(node, study)
                got, fields = self.final(done)
                self.assertEqual((got, counts(fields)), (status, numbers), done.text[-800:])
                self.assertEqual(sorted(failed_uids(done.text)), sorted(failed))
                self.assertIn(comment, fields.get("comment", ""))
                self.assertEqual("comment" in fields, numbers[1] > 0)
                if what == "none match":
                    self.assertEqual(scp.associations, [])
                elif what.startswith("comes back"):
                    self.assertEqual(len(scp.associations), 2)
                    self.assertEqual(sorted(scp.uids()), all_good)
                else:
                    self.assertEqual(len(scp.associations), 1)
                    scp.wait_for(lambda s: s.associations[0].end == ["released"])

    def test_destinations_that_are_not_there(self):
        limit = (2, 3, 2)
        with StoreScp(reject=lambda n: (1, 1, 7)) as stranger, \
                StoreScp(reject=lambda n: limit if n < 3 else None) as busy, \
                self.node({"port": free_port(), "retries": 0},
                          {"ae_title": "STRANGER", "port": stranger.port, "retries": 1},
                          {"ae_title": "BUSY", "port": busy.port, "retries": 2},
                          {"ae_title": "NAMELESS", "host": "host.invalid", "port": 104,
                           "retries": 0},
                          {"ae_title": "MINE", "port": busy.port, "only_self": "true"}) as node:
            for destination, status, comment in (
                    ("NOBODY", "A801", "NOBODY is not a configured destination"),
                    ("MINE", "A801", "MINE is sent to only at its own request"),
                    ("DEST", "A702", "DEST unreachable: connection refused"),
                    ("STRANGER", "A702", "STRANGER rejected: called AE title not recognized"),
                    ("NAMELESS", "A702", "NAMELESS unreachable: its host name is not known")):
                with self.subTest(destination):
                    done = self.move(node, GOOD, destination=destination)
                    got, fields = self.final(done)
                    self.assertEqual((got, fields["comment"].strip('"')), (status, comment))
                    self.assertEqual(len(failed_uids(done.text)), 8 if status == "A702" else 0)
                    if status == "A801":
                        self.assertEqual(set(fields), {"comment"})
                    else:
                        self.assertEqual(counts(fields), (0, 8, 0))
            self.assertEqual(stranger.nrequests, 2)
            self.assertEqual(busy.nrequests, 0)
            self.assertEqual(self.final(self.move(node, GOOD, destination="BUSY"))[0], "0000")
            self.assertEqual(busy.nrequests, 3)
            done = self.move(node, GOOD, "--aet", "MINE", destination="MINE")
            self.assertEqual(self.final(done)[0], "0000")

    def test_bad_identifiers(self):
        with StoreScp() as scp, self.node({"port": scp.port}) as node:
            for options in (("--level", "STUDY"), ("--level", "STUDY", "--key", "0020000D="),
                            ("--level", "PATIENT", "--key", "00100020=X"),
                            ("--level", "STUDY", "--key", "0020000D=1.2.*"),
                            ("--level", "SERIES", "--key", "0020000E=1.2")):
                with self.subTest(options):
                    done = node.client("move", "--destination", "DEST", *options, check=False)
                    status, fields = self.final(done)
                    self.assertEqual(status, "A900")
                    self.assertEqual(set(fields), {"comment"})
            self.assertEqual(scp.nrequests, 0)

    def test_every_level(self):
        series = GOOD[:-1] + "2"
        with StoreScp() as scp, self.node({"port": scp.port}) as node:
            for model, level, keys, n in (
                    ("patient", "PATIENT", ["00100020=P1"], 6),
                    ("patient", "STUDY", ["00100020=PID-0001", f"0020000D={GOOD}"], 8),
                    ("study", "SERIES", [f"0020000D={GOOD}", f"0020000E={series}"], 8),
                    ("composite", "IMAGE", [f"00080018={GOOD_UID}2\\{GOOD_UID}5"], 2),
                    ("study", "IMAGE", [f"00080018={GOOD_UID}2\\{GOOD_UID}5", f"0020000D={GOOD}",
                                        f"0020000E={series}"], 2)):
                with self.subTest(model=model, level=level):
                    before = len(scp.stored)
                    words = [word for key in keys for word in ("--key", key)]
                    done = node.client("move", "--destination", "DEST", "--model", model,
                                       "--level", level, *words, check=False)
                    self.assertEqual(self.final(done)[0], "0000", done.text)
                    self.assertEqual(len(scp.stored) - before, n)

    # ---- What goes wrong on the way ----

    def test_the_destination_dies(self):
        for associations in (1, 4):
            def answer(n, _, at=137):
                if n >= at:
                    scp.stop_listening()
                    return HANG_UP
                return 0
            with self.subTest(associations), StoreScp(answer) as scp, \
                    self.node({"port": scp.port, "associations": associations}) as node:
                done = self.move(node, LONG)
                status, fields = self.final(done)
                self.assertEqual((status, counts(fields)), ("B000", (136, 264, 0)))
                self.assertEqual(set(failed_uids(done.text)),
                                 {f"1.2.7.1.3.{i}" for i in range(1, 401)} - set(scp.uids()))
                self.assertRegex(fields["comment"], "DEST unreachable|broke off the association")

    def test_the_destination_does_not_answer(self):
        with StoreScp(lambda n, _: SILENT if n == 3 else 0) as scp, \
                self.node({"port": scp.port}, io_timeout_s=1) as node:
            done = self.move(node, GOOD)
            status, fields = self.final(done)
            self.assertEqual((status, counts(fields)), ("B000", (7, 1, 0)))
            self.assertEqual(failed_uids(done.text), [GOOD_UID + "3"])
            self.assertIn("did not answer in time", fields["comment"])
        with StoreScp(lambda n, _: SILENT) as scp, \
                self.node({"port": scp.port, "retries": 0}, io_timeout_s=1) as node:
            status, fields = self.final(self.move(node, GOOD))
            self.assertEqual((status, counts(fields)), ("A702", (0, 8, 0)))
            self.assertEqual(scp.nstores, 1)

    def test_no_answer_to_the_association_request(self):
        end = threading.Event()
        with StoreScp(reject=lambda n: end.wait(60) and (1, 1, 1)) as scp, \
                self.node({"port": scp.port, "retries": 0}, connect_timeout_s=1) as node:
            status, fields = self.final(self.move(node, GOOD))
            end.set()
            self.assertEqual(status, "A702")
            self.assertIn("no answer to the association request in time", fields["comment"])

    def test_what_is_no_dicom_node(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            def greet():
                connection = other.accept()[0]
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()
            thread = threading.Thread(target=greet)
            thread.start()
            with self.node({"port": other.getsockname()[1], "retries": 0}) as node:
                status, fields = self.final(self.move(node, GOOD))
            thread.join()
            self.assertEqual(status, "A702")
            self.assertIn("association request", fields["comment"])

    def test_keep_alive(self):
        release = threading.Event()

        def answer(n, _):
            if n == 2:
                release.wait(60)
            return 0
        with StoreScp(answer) as scp, \
                self.node({"port": scp.port}, pending_interval_s=1) as node:
            client = self.start(node, GOOD)
            same = 0
            for line in client.stdout:
                if line.startswith("response"):
                    (status, fields), = responses(line)
                    same += counts(fields) == (1, 0, 0) and status == "FF00"
                if same == 3:  # of which two tell nothing new
                    release.set()
            client.communicate(timeout=60)
            self.assertEqual(client.returncode, 0)
            self.assertGreaterEqual(same, 3)
            release.set()

    def start(self, node, study, *options):
        return subprocess.Popen(
            [str(CLIENT), "--aec", node.ae_title, *map(str, options), "--level", "STUDY", "--key",
             f"0020000D={study}", "--destination", "DEST", *node.address(), "move"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=stock_environment())

    def test_pending_before_the_destination_has_answered(self):
        """So movescu, which listens only between two responses, need not be waited for."""
        told = threading.Event()
        with StoreScp(reject=lambda n: None if told.wait(60) else (1, 1, 1)) as scp, \
                self.node({"port": scp.port}) as node:
            client = self.start(node, GOOD)
            for line in client.stdout:
                if line.startswith("response"):
                    told.set()
            client.communicate(timeout=60)
            self.assertEqual(client.returncode, 0)
            self.assertEqual(len(scp.stored), 8)

    # ---- The requester ----

    @staticmethod
    def slow_from(first):
        """Answers so slowly that a cancel surely comes before the end."""
        def answer(n, _):
            if n >= first:
                time.sleep(0.05)
            return 0
        return answer

    def test_cancel_before_the_first(self):
        with StoreScp(self.slow_from(1)) as scp, self.node({"port": scp.port}) as node:
            status, fields = self.final(self.move(node, LONG, "--cancel-after", 0))
            self.assertEqual(status, "FE00")
            self.assertEqual(int(fields["remaining"]) + int(fields["completed"]), 400)
            self.assertEqual(int(fields["completed"]), len(scp.stored))
            self.assertLess(len(scp.stored), 400)

    def cancel_at(self, scp, node, n):
        """Cancels once the n-th instance has come; the final response, and what was printed."""
        client = self.start(node, LONG, "--cancel-on-input")
        scp.wait_for(lambda s: s.nstores >= n)
        output = client.communicate("\n", timeout=60)[0]
        return *responses(output)[-1], output

    def test_cancel_in_the_middle(self):
        for associations in (1, 3):
            with self.subTest(associations), StoreScp(self.slow_from(20)) as scp, \
                    self.node({"port": scp.port, "associations": associations}) as node:
                status, fields, output = self.cancel_at(scp, node, 20)
                self.assertEqual(status, "FE00")
                self.assertEqual(int(fields["completed"]), len(scp.stored))
                self.assertEqual(int(fields["remaining"]), 400 - len(scp.stored))
                self.assertEqual(failed_uids(output), [])
                self.assertLess(len(scp.stored), 400)
                # One that was still being opened then is hung up; who carried any is released.
                scp.wait_for(lambda s: all(a.end for a in s.associations))
                self.assertEqual({one.association.end[0] for one in scp.stored}, {"released"})

    def test_cancel_after_a_failure(self):
        def answer(n, command):
            return 0xA700 if n == 2 else self.slow_from(5)(n, command)
        with StoreScp(answer) as scp, self.node({"port": scp.port}) as node:
            status, fields, output = self.cancel_at(scp, node, 5)
            self.assertEqual((status, fields["failed"]), ("FE00", "1"))
            self.assertEqual(failed_uids(output), ["1.2.7.1.3.2"])

    def test_cancel_while_the_destination_is_silent(self):
        with StoreScp(lambda n, _: SILENT if n == 3 else 0) as scp, \
                self.node({"port": scp.port}, io_timeout_s=600) as node:
            status, fields, _ = self.cancel_at(scp, node, 3)
            self.assertEqual((status, counts(fields), fields["remaining"]),
                             ("FE00", (2, 0, 0), "398"))

    def test_cancel_after_the_last(self):
        with StoreScp() as scp, self.node({"port": scp.port}) as node:
            done = self.move(node, GOOD, "--late-cancel", "--repeat", 2)
            self.assertEqual([s for s, _ in responses(done.text) if s != "FF00"], ["0000", "0000"])
            self.assertIn("released", done.text)
            self.assertEqual(len(scp.stored), 16)

    def test_the_requester_vanishes(self):
        for silent in (False, True):
            release = threading.Event()

            def answer(n, _):
                if n == 30 and not silent:
                    release.wait(60)
                return SILENT if n == 30 and silent else 0
            with self.subTest(silent), StoreScp(answer) as scp, \
                    self.node({"port": scp.port, "associations": 2}) as node:
                # The first response comes when the destination is reached, before it has answered.
                self.move(node, LONG, "--drop-after", 2)
                node.wait_for_log(r"association\.aborted")
                release.set()
                # The sub-associations are ended, not left to run to their end: in the middle of an
                # instance by an abort, between two by a release.
                scp.wait_for(lambda s: len(s.associations) >= 1 and
                             all(a.end for a in s.associations))
                self.assertLess(scp.nstores, 400)
                self.assertEqual(node.client("echo").returncode, 0)

    def test_shutting_down_in_the_middle(self):
        with StoreScp(lambda n, _: SILENT if n == 5 else 0) as scp:
            with self.node({"port": scp.port}, shutdown_timeout_s=0) as node:
                client = self.start(node, LONG)
                scp.wait_for(lambda s: s.nstores >= 5)
            client.communicate(timeout=60)

    def test_log_has_no_patient_data(self):
        with StoreScp() as scp, self.node({"port": scp.port}) as node:
            self.move(node, GOOD)
        quiet = "\n".join(line for line in node.log if " debug " not in line)
        self.assertIn("operation=move", quiet)
        self.assertIn("move.connected", quiet)
        for secret in ("Yamada", "PID-0001", "19600229", "山田"):
            self.assertNotIn(secret, quiet)


if __name__ == "__main__":
    unittest.main()
