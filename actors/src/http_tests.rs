//! Tests of the operators' HTTP, over real connections.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// Starts the service on a free port; the sender stops it.
fn start()
-> (SocketAddr, Readiness, PrometheusHandle, oneshot::Sender<()>, tokio::task::JoinHandle<io::Result<()>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("restante_deposits_total").increment(3);
        metrics::histogram!("restante_deposit_seconds").record(0.002);
    });
    let (readiness, metrics) = (Readiness::new(), recorder.handle());
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(serve(listener, metrics.clone(), readiness.clone(), records(), stopped));
    (address, readiness, metrics, stop, serving)
}

/// Records of two sessions.
fn records() -> Records {
    use restante::focus::realm::Realm;
    let records = Records::new(9, Realm::new(&["example.com".into()], "mailserver.example.com", None));
    let peer = "192.0.2.7:5060".parse().unwrap();
    for session in [&b"a@b"[..], &b"other"[..]] {
        records
            .tap(session, peer)
            .msrp(crate::records::Way::In, || crate::records::Said::Words("SEND".into()));
    }
    records
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn fetch(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn health_follows_the_readiness_flag() {
    let (address, readiness, _, _stop, _) = start();
    assert!(fetch(address, "/healthz/live").await.starts_with("HTTP/1.1 200 "));
    assert!(fetch(address, "/healthz/ready").await.starts_with("HTTP/1.1 503 "));
    readiness.set(true);
    assert!(fetch(address, "/healthz/ready").await.starts_with("HTTP/1.1 200 "));
    readiness.set(false);
    assert!(fetch(address, "/healthz/ready").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn metrics_are_rendered_for_prometheus() {
    let (address, _, _, _stop, _) = start();
    let answer = fetch(address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("restante_deposits_total 3"), "{answer}");
    assert!(answer.contains("restante_deposit_seconds_bucket{le=\"0.0025\"} 1"), "{answer}");
}

#[tokio::test]
async fn other_paths_methods_and_noise_are_refused() {
    let (address, _, _, _stop, _) = start();
    assert!(fetch(address, "/").await.starts_with("HTTP/1.1 404 "));
    let posted =
        ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(posted.await.starts_with("HTTP/1.1 405 "));
    assert!(ask(address, "\u{1}\u{2} noise\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn it_stops_when_told_even_with_a_connection_open() {
    let (address, _, _, stop, serving) = start();
    let _silent = TcpStream::connect(address).await.unwrap();
    assert!(fetch(address, "/healthz/live").await.starts_with("HTTP/1.1 200 "));
    stop.send(()).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().is_ok());
    assert!(TcpStream::connect(address).await.is_err());
}

/// Serves so many connections at once, which are closed after `silence`.
async fn bounded(connections: usize, silence: Duration) -> SocketAddr {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = inner.local_addr().unwrap();
    let bounded = Bounded::new(inner, connections, silence);
    let router = router(builder().unwrap().build_recorder().handle(), Readiness::new(), records());
    tokio::spawn(async move { axum::serve(bounded, router).await });
    address
}

async fn is_closed(mut stream: TcpStream) -> bool {
    stream.read_to_end(&mut Vec::new()).await.unwrap_or(0) == 0
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let address = bounded(1, Duration::from_millis(50)).await;
    assert!(is_closed(TcpStream::connect(address).await.unwrap()).await);
}

#[tokio::test]
async fn who_asks_slowly_keeps_nobody_out() {
    let address = bounded(2, Duration::from_secs(3600)).await;
    let (mut kept, mut some) = (TcpStream::connect(address).await.unwrap(), [0; 15]);
    for number in 0..3 {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /healthz/live HTTP/1.1\r\nHost:").await.unwrap();
        // One that was answered stays, although it is the older.
        kept.write_all(b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        kept.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 200 OK", "{number}");
        while !some.ends_with(b"live\n") {
            some.rotate_left(1);
            some[14] = kept.read_u8().await.unwrap();
        }
        assert!(fetch(address, "/healthz/live").await.starts_with("HTTP/1.1 200 "), "{number}");
        assert!(is_closed(slow).await, "{number}");
    }
}

#[tokio::test]
async fn records_are_told_by_session_one_a_line() {
    let (address, _, _, _stop, _) = start();
    let all = fetch(address, "/records").await;
    assert!(all.starts_with("HTTP/1.1 200 OK") && all.contains("application/x-ndjson"), "{all}");
    assert_eq!(all.matches("\"SEND\"").count(), 2, "{all}");
    let one = fetch(address, "/records?session=a%40b").await;
    let (_, body) = one.split_once("\r\n\r\n").unwrap();
    let arrow: restante::ladder::Arrow = serde_json::from_str(body.trim()).unwrap();
    assert_eq!((arrow.session.as_str(), arrow.from.as_str()), ("a@b", "192.0.2.7:5060"));
    assert!(fetch(address, "/records?session=unknown").await.ends_with("\r\n\r\n"));
}
