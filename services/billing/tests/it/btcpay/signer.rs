//! Signs as BTCPay Server does, with other people's tools: Python's `hmac`.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The header of a body, keyed with that secret.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let script = "import hashlib, hmac, sys; print('sha256=' + hmac.new(sys.argv[1].encode(), sys.stdin.buffer.read(), hashlib.sha256).hexdigest())";
    let mut python = Command::new("python3")
        .args(["-c", script, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    python.stdin.take().expect("open").write_all(body).expect("written");
    let said = python.wait_with_output().expect("it ends").stdout;
    String::from_utf8(said).expect("text").trim().to_owned()
}
