//! What the machine can do at most with the same bytes: a relay that copies them, an echo that answers.

use crate::MEGABYTE;
use crate::board::{Board, Row};
use crate::client::template::Template;
use crate::size::Size;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 64;
/// A MESSAGE with 200 bytes comes to about 600.
const DATAGRAM: usize = 600;

pub fn run(size: &Size, board: &mut Board) {
    let body = vec![b'x'; size.large];
    for (name, piece) in [("64 KiB", 64 * 1024), ("2 KiB", 2048)] {
        let rates: Vec<f64> = (0..size.rounds)
            .map(|_| size.large as f64 / MEGABYTE / relay(&body, piece).as_secs_f64())
            .collect();
        board.row(Row::new(&format!("TCP relay through a thread, pieces of {name}"), "MB/s", &rates));
    }
    let sync: Vec<f64> = (0..size.rounds).map(|_| synced(size.span)).collect();
    board.row(Row::new("64 records of 520 bytes appended, then fdatasync", "records/s", &sync));
    let udp: Vec<f64> = (0..size.rounds).map(|_| udp_echo(size.span)).collect();
    board.row(Row::new("UDP echo of 600 bytes, 64 in flight", "/s", &udp));
    let tcp: Vec<f64> = (0..size.rounds).map(|_| tcp_echo(size.span)).collect();
    board.row(Row::new("TCP echo of 600 bytes, 64 in flight", "/s", &tcp));
    let template = Template::message("TCP 127.0.0.1:5060", 200, 0, 1000);
    let mut out = Vec::new();
    let start = Instant::now();
    for number in 0..200_000 {
        out.clear();
        template.write(number, &mut out);
    }
    let each = start.elapsed().as_secs_f64() / 200_000.0 * 1e9;
    board.row(Row::new("what the load driver needs to write a MESSAGE", "ns", &[each]));
}

/// How long a thread that copies from one connection to another needs for `body`, by pieces of this size.
pub fn relay(body: &[u8], size: usize) -> Duration {
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [near, far] = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, _) = listeners[0].accept().unwrap();
            let (mut to, mut piece) = (TcpStream::connect(far).unwrap(), vec![0; size]);
            while let Ok(length @ 1..) = from.read(&mut piece) {
                to.write_all(&piece[..length]).unwrap();
            }
        });
        let start = Instant::now();
        scope.spawn(|| TcpStream::connect(near).unwrap().write_all(body).unwrap());
        let (mut sink, _) = listeners[1].accept().unwrap();
        let (mut left, mut piece) = (body.len(), vec![0; 256 * 1024]);
        while left > 0 {
            left -= sink.read(&mut piece).unwrap();
        }
        start.elapsed()
    })
}

fn synced(span: Duration) -> f64 {
    let folder = crate::place();
    let mut file = std::fs::File::create(folder.path().join("log")).unwrap();
    let (records, start, mut done) = (vec![b'x'; IN_FLIGHT * 520], Instant::now(), 0);
    while start.elapsed() < span {
        file.write_all(&records).unwrap();
        file.sync_data().unwrap();
        done += IN_FLIGHT;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

fn udp_echo(span: Duration) -> f64 {
    let (server, client) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (there, stop) = (server.local_addr().unwrap(), AtomicBool::new(false));
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, from)) = server.recv_from(&mut buffer) {
                    server.send_to(&buffer[..length], from).unwrap();
                }
            }
        });
        let (start, mut done, mut buffer) = (Instant::now(), 0, [b'x'; 2048]);
        let send = |count: usize| {
            (0..count).for_each(|_| assert!(client.send_to(&[b'x'; DATAGRAM], there).is_ok()));
        };
        send(IN_FLIGHT);
        while start.elapsed() < span {
            match client.recv(&mut buffer) {
                Ok(_) => {
                    done += 1;
                    send(1);
                }
                // What was lost is made up for.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    send(IN_FLIGHT)
                }
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        f64::from(done) / start.elapsed().as_secs_f64()
    })
}

/// Each message is written by itself, there and back, as they are when nothing else waits.
fn tcp_echo(span: Duration) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there: SocketAddr = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            pass_on(&mut stream, || true)
        });
        let mut stream = TcpStream::connect(there).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&vec![b'x'; IN_FLIGHT * DATAGRAM]).unwrap();
        let start = Instant::now();
        let done = pass_on(&mut stream, || start.elapsed() < span);
        done as f64 / start.elapsed().as_secs_f64()
    })
}

/// Writes every message back that comes, until there are no more or `go_on` says no; gives how many there were.
fn pass_on(stream: &mut TcpStream, go_on: impl Fn() -> bool) -> usize {
    let (mut buffer, mut have, mut done) = (vec![0; 64 * 1024], 0, 0);
    while go_on() {
        match stream.read(&mut buffer[have..]) {
            Ok(length @ 1..) => have += length,
            _ => break,
        }
        let whole = have - have % DATAGRAM;
        for message in buffer[..whole].chunks(DATAGRAM) {
            if stream.write_all(message).is_err() {
                return done;
            }
            done += 1;
        }
        buffer.copy_within(whole..have, 0);
        have -= whole;
    }
    done
}
