//! Signs as PayPal does, with other people's tools: openssl makes authority, certificate and signature, Python the checksum.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An authority and a certificate of it.
pub struct Signer {
    folder: PathBuf,
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Signer {
    /// One whose certificate carries that name.
    pub fn named(host: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("paypal-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).expect("a folder");
        let signer = Self { folder };
        let extensions = format!("subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
        std::fs::write(signer.folder.join("extensions"), extensions).expect("written");
        let fresh = ["-newkey", "rsa:2048", "-nodes", "-subj"];
        let authority = [&["req", "-x509"], &fresh[..], &["/CN=Authority", "-days", "9"]].concat();
        signer.openssl(&[&authority[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
        let asked = [&["req", "-new"], &fresh[..], &["/CN=PayPal", "-keyout", "leaf.key", "-out", "leaf.csr"]].concat();
        signer.openssl(&asked);
        signer.openssl(&[
            "x509",
            "-req",
            "-in",
            "leaf.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "9",
            "-extfile",
            "extensions",
            "-out",
            "leaf.pem",
        ]);
        signer
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(&self.folder).output().expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).expect("readable")
    }

    pub fn authority(&self) -> Vec<u8> {
        self.file("ca.pem")
    }

    pub fn certificate(&self) -> Vec<u8> {
        self.file("leaf.pem")
    }

    /// The signature of a transmission, in Base64.
    pub fn sign(&self, id: &str, time: &str, webhook_id: &str, body: &[u8]) -> String {
        let text = format!("{id}|{time}|{webhook_id}|{}", checksum(body));
        let name = uuid::Uuid::now_v7().simple().to_string();
        std::fs::write(self.folder.join(&name), text).expect("written");
        self.openssl(&["dgst", "-sha256", "-sign", "leaf.key", "-out", "signature", &name]);
        STANDARD.encode(self.file("signature"))
    }
}

fn checksum(body: &[u8]) -> String {
    let script = "import sys, zlib; print(zlib.crc32(sys.stdin.buffer.read()))";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    python.stdin.take().expect("open").write_all(body).expect("written");
    let said = python.wait_with_output().expect("it ends").stdout;
    String::from_utf8(said).expect("text").trim().to_owned()
}
