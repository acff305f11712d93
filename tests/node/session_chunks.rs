//! Chunks of RFC 4975 5.1 and 7.3.1 in every legal shape: the message that is stored is the one that was meant.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// Runs `speak` in a deposit session and gives the contents stored, in order.
fn stored(count: usize, speak: impl FnOnce(&mut Msrp)) -> Vec<Vec<u8>> {
    let node = Node::start();
    let mut joe = Ua::tcp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    speak(call.msrp());
    call.bye(&mut joe);
    let mut bob = Ua::tcp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&call.dialog.call_id), count);
    delivered.iter().map(|message| Cpim::parse(&message.body).body).collect()
}

/// Sends chunks in one write, each of which is answered 200.
fn all_at_once(msrp: &mut Msrp, chunks: &[Chunk]) {
    let (remote, local) = (msrp.remote.clone(), msrp.local.clone());
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.encode(&remote, &local)).collect();
    msrp.write(&bytes);
    for chunk in chunks {
        assert_eq!(msrp.response_to(&chunk.transaction), 200);
    }
}

#[test]
fn a_chunked_message_is_put_together() {
    let body = noise(10_000);
    let chunks = Chunk::whole("application/octet-stream", &body).cut(2048);
    let kept = stored(1, |msrp| {
        for chunk in &chunks {
            assert_eq!(msrp.send(chunk), 200);
        }
    });
    assert!(kept == [body]);
}

#[test]
fn two_interleaved_messages_are_told_apart() {
    let bodies = [noise(6_000), noise(6_001)];
    let messages: Vec<Vec<Chunk>> =
        bodies.iter().map(|body| Chunk::whole("application/octet-stream", body).cut(2048)).collect();
    let kept = stored(2, |msrp| {
        for (first, second) in messages[0].iter().zip(&messages[1]) {
            msrp.post(first);
            assert_eq!(msrp.send(second), 200);
        }
    });
    assert!(kept == bodies, "in the order in which they became complete");
}

#[test]
fn a_small_message_may_end_within_a_long_one() {
    let long = noise(9_000);
    let chunks = Chunk::whole("application/octet-stream", &long).cut(3_000);
    let kept = stored(2, |msrp| {
        assert_eq!(msrp.send(&chunks[0]), 200);
        msrp.say("in between");
        assert_eq!(msrp.send(&chunks[1]), 200);
        assert_eq!(msrp.send(&chunks[2]), 200);
    });
    let small = kept.iter().position(|body| body == b"in between").expect("the small one is kept");
    assert!(kept[1 - small] == long);
}

#[test]
fn interruptible_chunks_have_a_star_in_their_range() {
    let body = noise(9_000);
    let cut = Chunk::whole("application/octet-stream", &body).cut(4_000);
    let ranges = ["1-*/9000", "4001-*/9000", "8001-*/9000"];
    let kept = stored(1, |msrp| {
        for (chunk, range) in cut.iter().zip(ranges) {
            assert_eq!(msrp.send(&chunk.clone().range(range)), 200);
        }
    });
    assert!(kept == [body]);
}

#[test]
fn the_total_may_be_unknown() {
    let body = noise(5_000);
    let cut = Chunk::whole("application/octet-stream", &body).cut(3_000);
    let kept = stored(1, |msrp| {
        assert_eq!(msrp.send(&cut[0].clone().range("1-*/*")), 200);
        assert_eq!(msrp.send(&cut[1].clone().range("3001-5000/*")), 200);
    });
    assert!(kept == [body]);
}

#[test]
fn without_byte_range_a_chunk_is_the_whole() {
    let kept = stored(1, |msrp| {
        let chunk = Chunk { range: None, ..Chunk::whole("text/plain", "whole") };
        assert_eq!(msrp.send(&chunk), 200);
    });
    assert_eq!(kept, [b"whole"]);
}

// proves RFC 4975 7.3.1: receivers MUST NOT assume that chunks are delivered in order
#[test]
fn chunks_may_come_in_any_order() {
    let body = noise(8_000);
    let cut = Chunk::whole("application/octet-stream", &body).cut(2_000);
    let kept = stored(1, |msrp| {
        for index in [3, 1, 0, 2] {
            assert_eq!(msrp.send(&cut[index]), 200);
        }
    });
    assert!(kept == [body]);
}

// proves RFC 4975 7.3.1: what describes a message is said by its first chunk, whenever that comes
#[test]
fn the_first_chunk_describes_the_message_whatever_comes_before() {
    let node = Node::start();
    let mut joe = Ua::tcp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let mut cut = Chunk::whole("text/plain", noise(8_000)).cut(2_000);
    cut[0].content_type = Some("application/octet-stream".into());
    cut[0].extra.push(("Content-Disposition".into(), "attachment; filename=a".into()));
    for index in [3, 1, 0, 2] {
        assert_eq!(call.msrp().send(&cut[index]), 200);
    }
    call.bye(&mut joe);
    let mut bob = Ua::tcp(&node, "bob");
    let delivered = retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1);
    let cpim = Cpim::parse(&delivered[0].body);
    assert!(cpim.body == noise(8_000));
    assert_eq!(cpim.mime("Content-Type"), Some("application/octet-stream"));
    assert_eq!(cpim.mime("Content-Disposition"), Some("attachment; filename=a"));
}

#[test]
fn a_chunk_may_come_twice() {
    let body = noise(6_000);
    let cut = Chunk::whole("application/octet-stream", &body).cut(2_000);
    let kept = stored(1, |msrp| {
        for index in [0, 1, 1, 0, 2] {
            let chunk = Chunk { transaction: fresh("tr"), ..cut[index].clone() };
            assert_eq!(msrp.send(&chunk), 200);
        }
    });
    assert!(kept == [body]);
}

#[test]
fn a_chunk_shorter_than_its_range_is_counted_by_its_bytes() {
    let kept = stored(1, |msrp| {
        let first = Chunk::whole("text/plain", "0123456789").range("1-20/30").flag('+');
        let second =
            Chunk::whole("text/plain", "abcdefghijklmnopqrst").id(&first.message_id).range("11-30/30");
        assert_eq!(msrp.send(&first), 200);
        assert_eq!(msrp.send(&second), 200);
    });
    assert_eq!(kept, [b"0123456789abcdefghijklmnopqrst"]);
}

// proves RFC 4975 7.3.1: the chunk with "$" defines the total length
#[test]
fn the_last_chunk_defines_the_size() {
    let sizes = [(10, 5), (100_000, 50_000), (100_000, 5)];
    let kept = stored(sizes.len(), |msrp| {
        for (long, short) in sizes {
            let first = Chunk::whole("text/plain", vec![b'0'; long]).range(&format!("1-*/{long}")).flag('+');
            let last = Chunk::whole("text/plain", vec![b'a'; short]).id(&first.message_id).range("1-*/*");
            assert_eq!(msrp.send(&first), 200);
            assert_eq!(msrp.send(&last), 200);
        }
    });
    let lengths: Vec<usize> = kept.iter().map(Vec::len).collect();
    assert_eq!(lengths, sizes.map(|(_, short)| short));
    assert!(kept.iter().all(|body| body.iter().all(|byte| *byte == b'a')));
}

// proves RFC 4975 5.1: a long message in the small chunks that an endpoint sends by default
#[test]
fn small_chunks_wait_for_the_disk_and_none_is_refused() {
    let body = noise(1_000_000);
    let kept = stored(1, |msrp| {
        let chunks = Chunk::whole("application/octet-stream", &body).cut(500);
        all_at_once(msrp, &chunks);
    });
    assert!(kept == [body]);
}

#[test]
fn many_messages_that_fill_what_is_read_at_once_are_all_kept() {
    let bodies: Vec<_> = (0..200).map(|number| noise(30_000 + number)).collect();
    let kept = stored(bodies.len(), |msrp| {
        let chunks: Vec<_> = bodies.iter().map(|body| Chunk::whole("text/plain", body)).collect();
        all_at_once(msrp, &chunks);
    });
    assert!(kept == bodies);
}

#[test]
fn messages_are_kept_in_the_order_in_which_they_became_whole() {
    let mut bodies = vec![noise(40_000), b"two".to_vec(), noise(100_000), noise(33_000)];
    bodies.extend((0..300).map(|number| number.to_string().into_bytes()));
    let kept = stored(bodies.len(), |msrp| {
        let chunks: Vec<_> = bodies.iter().map(|body| Chunk::whole("text/plain", body)).collect();
        all_at_once(msrp, &chunks);
    });
    assert!(kept == bodies);
}

// proves RFC 4975 7.1.1: a message that ends with # is abandoned
#[test]
fn an_aborted_message_is_not_kept() {
    let kept = stored(2, |msrp| {
        msrp.say("before");
        let cut = Chunk::whole("text/plain", "abandoned, sadly").cut(8);
        assert_eq!(msrp.send(&cut[0]), 200);
        msrp.post(&cut[1].clone().flag('#'));
        msrp.say("after");
    });
    assert_eq!(kept, [&b"before"[..], b"after"]);
}

#[test]
fn content_that_looks_like_an_end_line_is_content() {
    let kept = stored(1, |msrp| {
        let mut chunk = Chunk::whole("text/plain", "");
        let near = format!(
            "a\r\n-------{}\r\n-------{}x$\r\n-------other$\r\n--------",
            chunk.transaction, chunk.transaction
        );
        chunk.body = near.clone().into_bytes();
        chunk.range = Some(format!("1-{0}/{0}", near.len()));
        assert_eq!(msrp.send(&chunk), 200);
    });
    assert!(String::from_utf8(kept[0].clone()).unwrap().ends_with("-------other$\r\n--------"));
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let kept = stored(2, |msrp| {
        let chunks = [Chunk::whole("text/plain", "a\r\n-------b"), Chunk::whole("text/plain", "second")];
        let (remote, local) = (msrp.remote.clone(), msrp.local.clone());
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.encode(&remote, &local)).collect();
        for byte in bytes {
            msrp.write(&[byte]);
        }
        for chunk in &chunks {
            assert_eq!(msrp.response_to(&chunk.transaction), 200);
        }
    });
    assert_eq!(kept, [&b"a\r\n-------b"[..], b"second"]);
}

#[test]
fn content_headers_of_a_message_are_kept() {
    let node = Node::start();
    let mut joe = Ua::tcp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let mut chunk = Chunk::whole("text/plain;charset=UTF-8", "x");
    chunk.extra =
        vec![("Content-Disposition".into(), "render".into()), ("X-Unknown".into(), "passed over".into())];
    assert_eq!(call.msrp().send(&chunk), 200);
    call.bye(&mut joe);
    let mut bob = Ua::tcp(&node, "bob");
    let cpim = Cpim::parse(&retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1)[0].body);
    assert_eq!(cpim.mime("Content-Type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(cpim.mime("Content-Disposition"), Some("render"));
}
