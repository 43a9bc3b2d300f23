//! HTTPS by certificate files. The pair below `tls/` is for this test alone.

use std::path::{Path, PathBuf};

use crate::world::{config, gateway_service};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls").join(name)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn with_certificate_files_the_gateway_speaks_https() {
    let port = free_port();
    let mut config = config();
    config.http.listen = format!("127.0.0.1:{port}");
    config.http.certificate = file("certificate.pem");
    config.http.key = file("key.pem");
    let host = ottery_testkit::host(&[]).await;
    let _running = host.start(vec![gateway_service(&host, config).await]).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(&std::fs::read(file("certificate.pem")).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .resolve("shop.example", ([127, 0, 0, 1], port).into())
        .build()
        .unwrap();
    let answer = client.get(format!("https://shop.example:{port}/healthz")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    assert!(client.get(format!("http://shop.example:{port}/healthz")).send().await.is_err(), "no plain HTTP beside it");
}

#[tokio::test]
async fn unusable_certificate_files_are_named() {
    let host = ottery_testkit::host(&[]).await;
    let mut config = config();
    config.http.certificate = file("certificate.pem");
    config.http.key = file("no-such-key.pem");
    let error = gateway::build(config, host.of(gateway::NAME)).await.err().unwrap();
    let text = format!("{error:#}");
    assert!(text.contains("no-such-key.pem") && text.contains("gateway.http.key"), "{text}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = ottery_testkit::host(&[]).await;
    let mut config = config();
    config.http.listen = taken.local_addr().unwrap().to_string();
    let service = gateway_service(&host, config).await;
    let error = ottery_kit::start(vec![service], ottery_kit::RunSettings::local()).await.err().unwrap();
    let text = format!("{error:#}");
    assert!(text.contains("gateway.http.listen") && text.contains("free that port"), "{text}");
}
