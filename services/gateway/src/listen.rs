//! HTTPS by certificate files, or plain HTTP, which is labelled a demo mode.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use ottery_kit::Service;

use crate::config::HttpConfig;

/// How often the certificate files are read again, so that a renewed one needs no restart.
const RELOAD_EVERY: Duration = Duration::from_secs(600);
/// Requests at work when the process stops get this long.
const FINISH: Duration = Duration::from_secs(18);

pub(crate) async fn serve(service: Service, router: Router, config: &HttpConfig) -> anyhow::Result<Service> {
    if !config.has_certificate() {
        if !config.behind_tls {
            tracing::warn!("demo mode: plain HTTP without certificate; passwords and cookies travel unprotected");
        }
        return Ok(service.http_instrumented(router, &config.listen));
    }
    // A process has one TLS provider; when it is set already it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = RustlsConfig::from_pem_file(&config.certificate, &config.key).await.with_context(|| {
        format!(
            "cannot use the certificate {} with the key {}; both are PEM files (`gateway.http.certificate`, `gateway.http.key`)",
            config.certificate.display(),
            config.key.display()
        )
    })?;
    let listener = std::net::TcpListener::bind(&config.listen).with_context(|| {
        format!("cannot listen on {}: free that port or set `gateway.http.listen` to another address", config.listen)
    })?;
    listener.set_nonblocking(true)?;
    tracing::info!(address = %listener.local_addr()?, "listening with HTTPS");
    let (certificate, key) = (config.certificate.clone(), config.key.clone());
    let reloaded = tls.clone();
    Ok(service
        .task("https", move |shutdown| {
            let (listener, tls, router) = (listener.try_clone(), tls.clone(), router.clone());
            async move {
                let handle = Handle::new();
                let stop = handle.clone();
                let server = axum_server::from_tcp_rustls(listener?, tls)?
                    .handle(handle)
                    .serve(router.into_make_service_with_connect_info::<SocketAddr>());
                tokio::pin!(server);
                tokio::select! {
                    ended = &mut server => ended?,
                    () = shutdown.cancelled() => {
                        stop.graceful_shutdown(Some(FINISH));
                        server.await?;
                    }
                }
                Ok(())
            }
        })
        .task("certificate", move |shutdown| {
            let (certificate, key, tls) = (certificate.clone(), key.clone(), reloaded.clone());
            async move {
                while tokio::time::timeout(RELOAD_EVERY, shutdown.cancelled()).await.is_err() {
                    if let Err(error) = tls.reload_from_pem_file(&certificate, &key).await {
                        tracing::warn!(%error, "the certificate files cannot be read; going on with the old ones");
                    }
                }
                Ok(())
            }
        }))
}
