//! Another implementation, written from the specifications alone, comes to the same: RFC 6962 for trees
//! and proofs, C2SP signed-note and tlog-checkpoint for what is signed; in Python, with openssl.

use crate::log::{checkpoints, small};
use crate::sample::wait;
use ledger::changes::{ChangeLog, canonical_entry};
use ledger::evidence::key::public_key;
use ledger::evidence::note::{Checkpoint, notes_in};
use ledger::evidence::tree::{MemoryTree, Tree, leaf_hash};
use ledger::evidence::{folder, hex};
use std::process::{Command, Stdio};

const CHECKER: &str = r#"
import base64, hashlib, json, subprocess, sys, tempfile, os

def H(data): return hashlib.sha256(data).digest()

# RFC 6962, 2.1
def MTH(D):
    n = len(D)
    if n == 0: return H(b"")
    if n == 1: return H(b"\x00" + D[0])
    k = 1
    while k * 2 < n: k *= 2
    return H(b"\x01" + MTH(D[:k]) + MTH(D[k:]))

# RFC 6962, 2.1.1
def PATH(m, D):
    n = len(D)
    if n == 1: return []
    k = 1
    while k * 2 < n: k *= 2
    if m < k: return PATH(m, D[:k]) + [MTH(D[k:])]
    return PATH(m - k, D[k:]) + [MTH(D[:k])]

# RFC 6962, 2.1.2
def PROOF(m, D): return SUBPROOF(m, D, True)
def SUBPROOF(m, D, b):
    n = len(D)
    if m == n: return [] if b else [MTH(D)]
    k = 1
    while k * 2 < n: k *= 2
    if m <= k: return SUBPROOF(m, D[:k], b) + [MTH(D[k:])]
    return SUBPROOF(m - k, D[k:], False) + [MTH(D[:k])]

def verify(public, message, signature):
    der = bytes.fromhex("302a300506032b6570032100") + public
    with tempfile.TemporaryDirectory() as d:
        def put(name, data):
            path = os.path.join(d, name)
            open(path, "wb").write(data)
            return path
        pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der) + b"\n-----END PUBLIC KEY-----\n"
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", put("k", pem), "-rawin",
            "-in", put("m", message), "-sigfile", put("s", signature)], stdout=subprocess.DEVNULL).returncode == 0

given = json.load(sys.stdin)
leaves = [leaf.encode() for leaf in given["entries"]]

# C2SP signed-note: NAME+ID+BASE64(01 || key); the id is the start of SHA-256(name || 0A || 01 || key)
name, key_id, encoded = given["key"].split("+", 2)
key = base64.b64decode(encoded)
assert key[0] == 1 and H(name.encode() + b"\n" + key)[:4].hex() == key_id

sizes = []
for note in given["notes"]:
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    lines = signatures.split("\n")
    assert lines[-1] == "" and len(lines) == 2
    dash, signer, data = lines[0].split(" ")
    data = base64.b64decode(data)
    assert dash == "\u2014" and signer == name and data[:4].hex() == key_id
    assert verify(key[1:], text.encode(), data[4:])
    assert not verify(key[1:], text.encode() + b"x", data[4:])
    # C2SP tlog-checkpoint
    origin, size, root = text[:-1].split("\n")
    assert origin == name and size == str(int(size))
    assert base64.b64decode(root) == MTH(leaves[:int(size)])
    sizes.append(int(size))

for proof in given["inclusions"]:
    made = PATH(proof["index"], leaves[:proof["size"]])
    assert [node.hex() for node in made] == proof["path"], proof
for proof in given["growths"]:
    made = PROOF(proof["old"], leaves[:proof["size"]])
    assert [node.hex() for node in made] == proof["path"], proof
print(len(sizes), "checkpoints", len(given["inclusions"]), "inclusions", len(given["growths"]), "growths")
"#;

#[test]
fn an_independent_implementation_finds_the_same_roots_proofs_and_signatures() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    let entries = wait(async {
        ChangeLog::open(state.path()).await.unwrap().entries_after(0).await.unwrap()
    });
    let bodies: Vec<String> = entries.iter().map(canonical_entry).collect();
    let tree = MemoryTree::of(bodies.iter().map(|body| leaf_hash(body.as_bytes()))).unwrap();
    let text = checkpoints(state.path());
    let notes: Vec<&str> = notes_in(&text).into_iter().map(|(_, note)| note).collect();
    let sizes: Vec<u64> = notes.iter().map(|note| Checkpoint::read(note).unwrap().size).collect();
    let texts = |proof: Vec<[u8; 32]>| proof.iter().map(|hash| hex(hash)).collect::<Vec<_>>();
    let (mut inclusions, mut growths) = (Vec::new(), Vec::new());
    for size in 1..=tree.size() {
        for index in 0..size {
            let path = texts(tree.prove(index, size).unwrap());
            inclusions.push(serde_json::json!({ "index": index, "size": size, "path": path }));
        }
        for old in 1..=size {
            let path = texts(tree.prove_growth(old, size).unwrap());
            growths.push(serde_json::json!({ "old": old, "size": size, "path": path }));
        }
    }
    assert_eq!(sizes.len(), 3);
    let given = serde_json::json!({
        "entries": bodies, "key": public_key(&folder(state.path())).unwrap(), "notes": notes,
        "inclusions": inclusions, "growths": growths,
    });
    let mut checker = Command::new("python3")
        .args(["-c", CHECKER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(checker.stdin.take().unwrap(), &given).unwrap();
    let output = checker.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        format!("3 checkpoints {} inclusions {} growths\n", inclusions.len(), growths.len())
    );
}
