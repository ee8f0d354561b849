#!/usr/bin/env python3
"""Checks the records in this folder against the filter's signed checkpoint.

Needs Python 3.8 or later and the openssl program (3.0 or later); nothing else, and no network.
How the hashes are made: RFC 6962 for trees; C2SP signed-note and tlog-checkpoint for what is signed;
docs/audit.md of Schoolgate for the bytes of a record.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

HEADER = "schoolgate evidence bundle v1"
FILES = ["README.txt", "checkpoint", "key.pub", "proofs.json", "verify.py"]
GROUP = 16


class Wrong(Exception):
    """Something does not hold; the text says what."""


class Unsure(Exception):
    """Nothing can be said by what was given; the text says why."""


def need(holds, what):
    if not holds:
        raise Wrong(what)


def sha256(data):
    return hashlib.sha256(data).digest()


# Numbers, texts and records as bytes.

def number(value):
    need(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64,
         "%r is no number" % (value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    need(isinstance(value, str), "%r is no text" % (value,))
    data = value.encode("utf-8")
    return number(len(data)) + data


def optional(value, put):
    return b"\x00" if value is None else b"\x01" + put(value)


def flag(value):
    need(isinstance(value, bool), "%r is neither true nor false" % (value,))
    return b"\x01" if value else b"\x00"


def ended(values):
    need(0 <= values["end"] < 256, "an end that means nothing")
    names = ["complete", "aborted", "cut", "upstream", "unknown", "timed_out", "rejected"]
    depths = [None, "plain", "name", "page"]
    need(names[values["end"] & 15] == values["how"], "an end that is told in other words")
    need(depths[values["end"] >> 4] == values.get("depth"), "a depth that is told in other words")
    return bytes([values["end"]]) + b"".join(
        number(values[name]) for name in ("status", "bytes_up", "bytes_down", "duration_us"))


def words_bytes(words):
    return b"".join(text(words[name]) for name in ("kind", "site", "text"))


def row_bytes(row):
    who = sha256(b"\x10" + optional(row["user"], text) + text(row["level"]) + text(row["client"]))
    what = sha256(
        b"\x11"
        + b"".join(text(row[name]) for name in ("policy_hash", "list_version", "zone", "method"))
        + text(row["scheme"]) + text(row["host"]) + number(row["port"])
        + number(len(row["categories"])) + b"".join(text(name) for name in row["categories"])
        + flag(row["locked"]) + text(row["verdict"]) + text(row["reason"])
        + optional(row["rule"], text) + optional(row["unblock"], number) + text(row["depth"]))
    words, signs = row.get("words"), row.get("signs")
    noted, first = b"", b"\x12"
    if words is not None or signs is not None:
        noted, first = optional(words, words_bytes) + optional(signs, text), b"\x14"
    return (first + number(row["number"]) + number(row["id"]) + number(row["at"] & (1 << 64) - 1)
            + who + what + optional(row["path"], text) + optional(row["ended"], ended)
            + noted)


def end_bytes(end):
    signs = end.get("signs")
    first, noted = (b"\x13", b"") if signs is None else (b"\x15", text(signs))
    return first + number(end["place"]) + number(end["row"]) + ended(end["ended"]) + noted


# Trees.

def unhex(value, length=32):
    need(isinstance(value, str) and value == value.lower(), "%r is no hash" % (value,))
    try:
        data = bytes.fromhex(value)
    except ValueError:
        raise Wrong("%r is no hash" % (value,))
    need(len(data) == length and data.hex() == value, "%r is no hash" % (value,))
    return data


def leaf_hash(data):
    return sha256(b"\x00" + data)


def root_of_path(index, size, leaf, path):
    """The root that an audit path leads to (RFC 9162, 2.1.3.2)."""
    need(0 <= index < size, "a place outside of its tree")
    at, last, root = index, size - 1, leaf
    for node in path:
        need(last > 0, "a path that is too long")
        if at & 1 or at == last:
            root = sha256(b"\x01" + node + root)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            root = sha256(b"\x01" + root + node)
        at >>= 1
        last >>= 1
    need(last == 0, "a path that is too short")
    return root


def check_in_batch(leaf, index, batch, proof):
    count = batch["rows"] + batch["ends"]
    group = [unhex(value) for value in proof["group"]]
    place = index // GROUP
    need(len(group) == min(GROUP, count - place * GROUP), "a group of the wrong size")
    need(group[index % GROUP] == leaf, "its hash is not the one in its batch: a value was changed")
    root = root_of_path(place, (count + GROUP - 1) // GROUP, leaf_hash(b"".join(group)),
                        [unhex(value) for value in proof["path"]])
    need(root == unhex(batch["root"]), "its batch does not hold it")


# Notes.

def unbase64(value, what):
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("%s is not base64" % what)
    need(base64.b64encode(data).decode() == value, "%s is not base64 as it is written" % what)
    return data


def read_key(data):
    need(data.endswith("\n") and data.count("\n") == 1, "key.pub: not one line")
    parts = data[:-1].split("+", 2)
    need(len(parts) == 3, "key.pub: not a key")
    name, key_id, encoded = parts
    key = unbase64(encoded, "key.pub")
    need(len(key) == 33 and key[0] == 1, "key.pub: not an Ed25519 key")
    need(sha256(name.encode() + b"\n" + key)[:4].hex() == key_id, "key.pub: the id is not its own")
    return name, bytes.fromhex(key_id), key[1:]


def public_line(key):
    """The whole public key, as in key.pub: a part of it could be met by a key made for that."""
    return "%s+%s+%s" % (key[0], key[1].hex(), base64.b64encode(b"\x01" + key[2]).decode())


def signature_holds(key, message, signature):
    der = bytes.fromhex("302a300506032b6570032100") + key
    pem = "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % base64.b64encode(der).decode()
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("key.pem", "message", "signature")]
        for path, data in zip(paths, (pem.encode(), message, signature)):
            with open(path, "wb") as file:
                file.write(data)
        run = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", paths[0], "-rawin",
             "-in", paths[1], "-sigfile", paths[2]],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.returncode == 0


def open_note(name, data, key):
    """The text of a note that the key has signed, and nobody else."""
    at = data.rfind("\n\n")
    need(at > 0, "%s: not a signed note" % name)
    body, signatures = data[:at + 1], data[at + 2:]
    need(signatures.endswith("\n") and signatures.count("\n") == 1, "%s: not one signature" % name)
    need(signatures.startswith("\u2014 "), "%s: not a signed note" % name)
    parts = signatures[2:-1].split(" ")
    need(len(parts) == 2 and parts[0] == key[0], "%s: signed under another name" % name)
    signature = unbase64(parts[1], name)
    need(signature[:4] == key[1], "%s: signed by another key" % name)
    need(signature_holds(key[2], body.encode(), signature[4:]), "%s: the signature is wrong" % name)
    return body


def read_checkpoint(name, data, key):
    lines = open_note(name, data, key)[:-1].split("\n")
    need(len(lines) == 3, "%s: not a checkpoint" % name)
    origin, size, root = lines
    need(origin == key[0], "%s: of another log" % name)
    need(size.isascii() and size.isdigit() and str(int(size)) == size, "%s: no size" % name)
    data = unbase64(root, name)
    need(len(data) == 32, "%s: no root" % name)
    return int(size), data


# The bundle.

def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    try:
        return data, data.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("%s: not text" % name)


def check_files(folder, key):
    _, manifest = read(folder, "manifest")
    lines = open_note("manifest", manifest, key)[:-1].split("\n")
    need(lines[0] == HEADER and lines[1].startswith("case "), "manifest: not of a bundle")
    named = {}
    for line in lines[2:]:
        need(len(line) > 66 and line[64:66] == "  ", "manifest: a line that is none")
        named[line[66:]] = line[:64]
    need(sorted(named) == sorted(FILES), "manifest: not the files of a bundle")
    for name in FILES:
        need(sha256(read(folder, name)[0]).hex() == named[name], "%s: changed since it was given out" % name)
    return lines[1][5:]


def check_record(record, batches):
    row = record["row"]
    values, batch = row["values"], batches[row["batch"]]
    index = values["number"] - batch["first_row"]
    need(0 <= index < batch["rows"], "its batch does not hold it")
    salted = unhex(row["salt"], 16)
    check_in_batch(leaf_hash(salted + row_bytes(values)), index, batch, row)
    end = record.get("end")
    if end is not None:
        need(end["values"]["row"] == values["number"], "its end is another record's")
        other = batches[end["batch"]]
        need(other["day"] == batch["day"], "its end is of another day")
        place = end["values"]["place"] - other["first_end"]
        need(0 <= place < other["ends"], "the batch does not hold its end")
        salted = unhex(end["salt"], 16)
        leaf = leaf_hash(salted + end_bytes(end["values"]))
        check_in_batch(leaf, other["rows"] + place, other, end)


def compare_kept(name, text, note):
    """Looks for the bundle's checkpoint in what somebody kept, as a note or as the line that reports print."""
    origin, size, root = note.split("\n")[:3]
    found = re.findall(re.escape(origin) + r"\s+([0-9]+)\s+([A-Za-z0-9+/=]{44})(?![A-Za-z0-9+/=])", text)
    need(found, "%s holds no checkpoint of %s" % (name, origin))
    same = [other for other_size, other in found if other_size == size]
    need(not same or set(same) == {root}, "%s has another checkpoint of %s entries" % (name, size))
    if not same:
        raise Unsure("%s has checkpoints of %s entries, and this bundle's is of %s. That speaks neither for "
                     "the records nor against them." % (name, ", ".join(of for of, _ in found[-3:]), size))


def check(folder, kept, kept_key):
    key = read_key(read(folder, "key.pub")[1])
    if kept_key is not None:
        with open(kept_key, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        need(public_line(key) in lines, "%s does not hold the key of this bundle" % kept_key)
    case = check_files(folder, key)
    note = read(folder, "checkpoint")[1]
    size, root = read_checkpoint("checkpoint", note, key)
    proofs = json.loads(read(folder, "proofs.json")[1])
    need(proofs["case"] == case, "proofs.json is of another case")
    entry = json.loads(proofs["head"]["entry"])
    found = root_of_path(entry["sequence"], size, leaf_hash(proofs["head"]["entry"].encode()),
                         [unhex(value) for value in proofs["head"]["path"]])
    need(found == root, "the entry that states the access log's root is not under the checkpoint")
    access = entry["event"]["access"]
    batches = {}
    for proved in proofs["batches"]:
        batch = json.loads(proved["record"])
        found = root_of_path(batch["number"], access["size"], leaf_hash(proved["record"].encode()),
                             [unhex(value) for value in proved["path"]])
        need(found == unhex(access["root"]), "batch %d is not in the access log" % batch["number"])
        batches[batch["number"]] = batch
    for record in proofs["records"]:
        values = record["row"]["values"]
        try:
            check_record(record, batches)
        except Wrong as wrong:
            raise Wrong("record %s: %s" % (values["code"], wrong))
    # Last: what is wrong by itself is told before what cannot be compared.
    if kept is not None:
        with open(kept, encoding="utf-8") as file:
            compare_kept(kept, file.read(), note)
    return key, note, entry, proofs


def show(proofs):
    for record in proofs["records"]:
        row = record["row"]["values"]
        at = datetime.datetime.fromtimestamp(row["at"] / 1000, datetime.timezone.utc)
        address = row["host"] + (row["path"] or "")
        print("%s  %s  %s  %s  %s  %s  %s" % (
            at.strftime("%Y-%m-%d %H:%M:%S UTC"), row["user"] or "-", row["level"],
            row["verdict"].upper(), json.dumps(address, ensure_ascii=True), row["reason"], row["code"]))
        words = row.get("words")
        if words is not None:
            print("    %s at %s: %s" % (
                words["kind"], json.dumps(words["site"]), json.dumps(words["text"], ensure_ascii=True)))


def main():
    parser = argparse.ArgumentParser(description="Checks the records in a folder.")
    parser.add_argument("folder", nargs="?", help="the folder; that of this program when not given")
    parser.add_argument("--show", action="store_true", help="print the records too")
    parser.add_argument("--checkpoint", metavar="FILE",
                        help="a copy of the checkpoints that somebody else kept: this one must be in it")
    parser.add_argument("--key", metavar="FILE",
                        help="a copy of the school's key.pub that somebody else kept: this key must be in it")
    arguments = parser.parse_args()
    folder = arguments.folder or os.path.dirname(os.path.abspath(__file__))
    try:
        key, note, entry, proofs = check(folder, arguments.checkpoint, arguments.key)
    except Unsure as unsure:
        print("NOT COMPARED: %s" % unsure)
        print("Ask the school to show on its server that its log goes on from the one that was kept:")
        print("  schoolgate audit verify --against FILE")
        print("or to give out the records again with a checkpoint that you are sent first.")
        return 2
    except Wrong as wrong:
        print("WRONG: %s" % wrong)
        return 1
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        print("WRONG: the bundle is damaged (%s: %s)" % (type(error).__name__, error))
        return 1
    if arguments.show:
        show(proofs)
    at = datetime.datetime.fromtimestamp(entry["at"] / 1000, datetime.timezone.utc)
    print("RIGHT: %d records of case %s stand unchanged in the log as it was signed on %s."
          % (len(proofs["records"]), json.dumps(proofs["case"]), at.strftime("%Y-%m-%d %H:%M:%S UTC")))
    if proofs["not_covered"]:
        print("%d more were asked for and are not covered by the checkpoint; they are not shown."
              % len(proofs["not_covered"]))
    print("The key came with the records. That they are this school's log, and not one made up beside it, is")
    print("shown only if key or checkpoint are the same as what somebody else kept from before:")
    print("  key         %s" % public_line(key))
    print("  checkpoint  %s" % " ".join(note.split("\n")[:3]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
