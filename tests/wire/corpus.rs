use crate::properties::ALL;
use crate::torture::{VERDICTS, load};
use restante::entropy::{Entropy, Sequence};

#[test]
fn probe() {
    let mut sequence = Sequence::new(5);
    for (name, check) in ALL {
        let before = std::time::Instant::now();
        let mut failures = 0;
        for turn in 0..2000 {
            let length = sequence.next_u64() % 300;
            let data: Vec<u8> = (0..length).map(|_| if turn % 2 == 0 { sequence.next_u64() as u8 } else { (sequence.next_u64() % 16) as u8 }).collect();
            if std::panic::catch_unwind(|| check(&data)).is_err() {
                failures += 1;
                if failures > 3 { break; }
            }
        }
        println!("{name}: {failures} {:?}", before.elapsed());
    }
    for (name, _) in VERDICTS {
        for (property, check) in &ALL[..2] {
            if std::panic::catch_unwind(|| check(&load(name))).is_err() {
                println!("{property} {name}");
            }
        }
    }
}
