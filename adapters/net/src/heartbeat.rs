//! Notices connections that look alive and carry nothing.
//!
//! The transport's own keep-alives prove that packets pass, not that data does, and a connection
//! that lost all its paths may stay open for good. So each side opens one unidirectional stream,
//! the only one it ever opens, and writes one byte every [`BEAT_MS`]. A side that misses the other's
//! bytes for [`BEAT_LIMIT_MS`] ends the connection, and whoever keeps it dials again.

use std::time::Duration;

use iroh::endpoint::WeakConnectionHandle;

/// How often a side gives a sign of life.
pub const BEAT_MS: u64 = 5_000;
/// A connection without a sign of life for this long is over.
pub const BEAT_LIMIT_MS: u64 = 20_000;

/// Writes beats for ever; once the connection has ended there is nothing to write to.
pub(crate) async fn send(connection: WeakConnectionHandle) {
    let opened = match connection.upgrade() {
        Some(strong) => strong.open_uni().await.ok(),
        None => None,
    };
    if let Some(mut stream) = opened {
        while stream.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(BEAT_MS)).await;
        }
    }
    std::future::pending().await
}

/// Returns when beats have stayed away for too long; never, if the connection ends before.
pub(crate) async fn missed(connection: WeakConnectionHandle) {
    let limit = Duration::from_millis(BEAT_LIMIT_MS);
    let Some(strong) = connection.upgrade() else {
        return std::future::pending().await;
    };
    let accepted = tokio::time::timeout(limit, strong.accept_uni()).await;
    drop(strong);
    let mut stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return std::future::pending().await,
        Err(_) => return,
    };
    let mut beats = [0; 16];
    loop {
        match tokio::time::timeout(limit, stream.read(&mut beats)).await {
            Ok(Ok(Some(_))) => {}
            // A side that stops beating while the connection lives is a broken side.
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(_)) => return std::future::pending().await,
        }
    }
}
