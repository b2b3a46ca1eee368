//! How the examples `acceptance` of workspaces of their own listen.

use std::io::Read;

/// Says where it listens, and ends when standard input does: whoever started this holds the other end, and it closes
/// however they end.
pub async fn listen(
    router: axum::Router,
    path: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("serving http://{}{path}", listener.local_addr()?);
    let (gone, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        drop(gone);
    });
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        _ = ended => Ok(()),
    }
}
