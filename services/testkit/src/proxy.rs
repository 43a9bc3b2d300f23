//! A network that fails on request: a TCP proxy between a client and a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

const CHUNK_BYTES: usize = 16 * 1024;
const COMMIT: &[u8] = b"COMMIT";

/// What the network does to connections, new and existing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Toxic {
    /// Everything passes.
    #[default]
    None,
    /// Every chunk waits before it goes on, in both directions.
    Delay(Duration),
    /// Connections are taken and nothing passes, as behind a firewall that drops packets.
    Blackhole,
    /// Requests arrive, answers are lost: the case in which the client cannot know what happened.
    DropResponses,
    /// Requests arrive; the connection breaks instead of the answer.
    CutOnResponse,
    /// Everything passes until somebody says COMMIT (unencrypted PostgreSQL): that arrives, and the connection breaks instead
    /// of the answer. Whoever committed cannot know.
    CutOnCommit,
    /// New connections are closed at once.
    Refuse,
}

/// A running proxy; it ends with the value, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    toxic: watch::Sender<Toxic>,
    cut: Arc<Notify>,
    task: AbortHandle,
}

impl Proxy {
    /// Starts a proxy to `upstream` (`host:port`) on a free loopback port.
    pub async fn start(upstream: impl Into<String>) -> std::io::Result<Self> {
        let upstream = upstream.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (toxic, watched) = watch::channel(Toxic::None);
        let cut = Arc::new(Notify::new());
        let task = tokio::spawn(accept(listener, upstream, watched, Arc::clone(&cut))).abort_handle();
        Ok(Self { address, toxic, cut, task })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes the weather, for existing connections too.
    pub fn set(&self, toxic: Toxic) {
        self.toxic.send_replace(toxic);
    }

    /// Breaks every existing connection. New ones are taken as before.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, upstream: String, toxic: watch::Receiver<Toxic>, cut: Arc<Notify>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                if *toxic.borrow() == Toxic::Refuse {
                    continue;
                }
                connections.spawn(carry(client, upstream.clone(), toxic.clone(), Arc::clone(&cut)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(client: TcpStream, upstream: String, toxic: watch::Receiver<Toxic>, cut: Arc<Notify>) {
    let cut = cut.notified();
    let both = async {
        let Ok(server) = TcpStream::connect(&upstream).await else { return };
        // Without delay on our part: Nagle's algorithm would be one.
        let _slower_otherwise = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        tokio::select! {
            () = pump(client_read, server_write, toxic.clone(), Direction::Request) => {}
            () = pump(server_read, client_write, toxic, Direction::Response) => {}
        }
    };
    tokio::select! {
        () = both => {}
        () = cut => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut toxic: watch::Receiver<Toxic>,
    direction: Direction,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
        let weather = *toxic.borrow_and_update();
        match (weather, direction) {
            (Toxic::None | Toxic::Refuse | Toxic::CutOnCommit, _)
            | (Toxic::DropResponses | Toxic::CutOnResponse, Direction::Request) => {}
            (Toxic::Delay(delay), _) => sleep(delay).await,
            (Toxic::Blackhole, _) | (Toxic::DropResponses, Direction::Response) => continue,
            (Toxic::CutOnResponse, Direction::Response) => return,
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
        let is_commit = || chunk[..length].windows(COMMIT.len()).any(|part| part == COMMIT);
        if weather == Toxic::CutOnCommit && direction == Direction::Request && is_commit() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// Answers every byte with the same byte.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_u8(7).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn every_weather_does_what_it_says() {
        let proxy = Proxy::start(echo().await.to_string()).await.unwrap();
        let connect = || TcpStream::connect(proxy.address());
        let mut stream = connect().await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);

        proxy.set(Toxic::Delay(Duration::from_millis(60)));
        let begun = Instant::now();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);
        assert!(begun.elapsed() >= Duration::from_millis(120));

        for silent in [Toxic::DropResponses, Toxic::Blackhole] {
            proxy.set(silent);
            assert!(timeout(Duration::from_millis(150), ask(&mut stream)).await.is_err(), "{silent:?}");
        }
        proxy.set(Toxic::CutOnCommit);
        let mut other = connect().await.unwrap();
        assert_eq!(ask(&mut other).await.unwrap(), 7);
        other.write_all(b"Q....COMMIT").await.unwrap();
        assert!(other.read_exact(&mut [0; 11]).await.is_err(), "the answer is lost");
        proxy.set(Toxic::CutOnResponse);
        assert!(ask(&mut stream).await.is_err());
        proxy.set(Toxic::Refuse);
        assert!(ask(&mut connect().await.unwrap()).await.is_err());

        proxy.set(Toxic::None);
        let mut stream = connect().await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);
        proxy.cut();
        assert!(ask(&mut stream).await.is_err());
    }
}
