//! Signs webhooks as PayPal does: RSA over transmission id, time, webhook id and checksum, with a certificate of an authority of
//! its own. `openssl` makes and uses the keys.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The program is not there.
    #[error("openssl cannot be run; install it")]
    Missing(#[source] std::io::Error),
    /// It refused.
    #[error("openssl refused: {0}")]
    Refused(String),
    /// Its files cannot be written or read.
    #[error("the folder of keys {0} cannot be used")]
    Folder(PathBuf, #[source] std::io::Error),
}

/// An authority and a certificate of it, in a folder that goes with the value.
#[derive(Debug)]
pub struct Signer {
    folder: PathBuf,
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Signer {
    /// One whose certificate carries that name, with its keys in a folder that is made.
    ///
    /// # Errors
    /// `openssl` is missing or refuses, or the folder is there already.
    pub fn named(host: &str, folder: PathBuf) -> Result<Self, SignError> {
        std::fs::create_dir(&folder).map_err(|error| SignError::Folder(folder.clone(), error))?;
        let signer = Self { folder };
        let extensions = format!("subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
        signer.write("extensions", extensions.as_bytes())?;
        let fresh = ["-newkey", "rsa:2048", "-nodes", "-subj"];
        let authority = [&["req", "-x509"], &fresh[..], &["/CN=Authority", "-days", "9"]].concat();
        signer.openssl(&[&authority[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat())?;
        let asked = [&["req", "-new"], &fresh[..], &["/CN=PayPal", "-keyout", "leaf.key", "-out", "leaf.csr"]].concat();
        signer.openssl(&asked)?;
        let issued = ["x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let how = ["-days", "9", "-extfile", "extensions", "-out", "leaf.pem"];
        signer.openssl(&[&issued[..], &how[..]].concat())?;
        Ok(signer)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<(), SignError> {
        let done = Command::new("openssl").args(arguments).current_dir(&self.folder).output();
        let done = done.map_err(SignError::Missing)?;
        if done.status.success() {
            return Ok(());
        }
        Err(SignError::Refused(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SignError> {
        std::fs::write(self.folder.join(name), bytes).map_err(|error| SignError::Folder(self.folder.clone(), error))
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, SignError> {
        std::fs::read(self.folder.join(name)).map_err(|error| SignError::Folder(self.folder.clone(), error))
    }

    /// The authority's certificate, in PEM.
    ///
    /// # Errors
    /// The file is gone.
    pub fn authority(&self) -> Result<Vec<u8>, SignError> {
        self.file("ca.pem")
    }

    /// The certificate that signs, in PEM.
    ///
    /// # Errors
    /// The file is gone.
    pub fn certificate(&self) -> Result<Vec<u8>, SignError> {
        self.file("leaf.pem")
    }

    /// The signature of a transmission, in Base64.
    ///
    /// # Errors
    /// `openssl` refuses.
    pub fn sign(&self, id: &str, time: &str, webhook_id: &str, body: &[u8]) -> Result<String, SignError> {
        self.write("text", format!("{id}|{time}|{webhook_id}|{}", crc32(body)).as_bytes())?;
        self.openssl(&["dgst", "-sha256", "-sign", "leaf.key", "-out", "signature", "text"])?;
        Ok(STANDARD.encode(self.file("signature")?))
    }
}

/// The CRC-32 of zlib and Ethernet, bit by bit: on purpose not the code that billing checks it with.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_the_one_everybody_else_computes() {
        // Computed with `python3 -c 'import zlib; print(zlib.crc32(b"123456789"))'`.
        assert_eq!(crc32(b"123456789"), 3_421_780_262);
        assert_eq!(crc32(b""), 0);
    }
}
