//! The mail sink.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{self, Playground};

async fn send(sandbox: &Playground, to: &str) -> String {
    let mut socket = TcpStream::connect(sandbox.running.addresses().smtp).await.expect("connects");
    let mail = format!(
        "EHLO test\r\nMAIL FROM:<shop@b.test>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: Hello\r\nContent-Type: text/html\r\n\r\n\
         <p>Hi</p>\r\n..dot\r\n.\r\nQUIT\r\n"
    );
    socket.write_all(mail.as_bytes()).await.expect("writes");
    let mut answers = String::new();
    socket.read_to_string(&mut answers).await.expect("reads");
    answers
}

async fn messages(sandbox: &Playground, to: &str) -> Value {
    let url = format!("http://{}/messages?to={to}", sandbox.running.addresses().mail);
    let answer: Value = sandbox.http.get(url).send().await.expect("answers").json().await.expect("JSON");
    answer["messages"].clone()
}

#[tokio::test]
async fn a_mail_is_kept_and_shown() {
    let sandbox = harness::start().await;
    assert!(send(&sandbox, "a@b.test").await.contains("250 2.0.0 kept"));
    let found = messages(&sandbox, "a@b.test").await;
    assert_eq!(found[0]["subject"], "Hello");
    assert_eq!(found[0]["html"], "<p>Hi</p>\n.dot\n");
    assert_eq!(messages(&sandbox, "other@b.test").await, serde_json::json!([]));
    for path in ["", "mail/1", "mail/1/html"] {
        let url = format!("http://{}/{path}", sandbox.running.addresses().mail);
        assert_eq!(sandbox.http.get(url).send().await.expect("answers").status(), 200, "{path}");
    }
}

#[tokio::test]
async fn mail_faults_refuse_lose_and_double() {
    let sandbox = harness::start().await;
    for (kind, word, kept) in [
        ("smtp_451", "451", 0),
        ("smtp_550", "550", 0),
        ("drop_before_apply", "354", 0),
        ("drop_after_apply", "354", 1),
        ("duplicate", "kept", 2),
        ("late", "kept", 1),
    ] {
        sandbox.fault("mail", "smtp", kind, 1).await;
        let to = format!("{kind}@b.test");
        assert!(send(&sandbox, &to).await.contains(word), "{kind}");
        assert_eq!(messages(&sandbox, &to).await.as_array().map(Vec::len), Some(kept), "{kind}");
    }
}
