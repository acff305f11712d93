use crate::properties::differential::{disagreement, ours, theirs};
use crate::torture::{VERDICTS, load};

#[test]
fn probe() {
    for (name, _) in VERDICTS {
        let text = load(name);
        match (ours(&text), theirs(&text)) {
            (Ok(a), Ok(b)) => {
                if let Some(d) = disagreement(&a, &b) {
                    println!("{name}: {d}");
                }
            }
            (Err(a), Err(b)) => println!("{name} both refuse: {a} / {b}"),
            (Ok(_), Err(b)) => println!("{name} THEY refuse: {b}"),
            (Err(a), Ok(_)) => println!("{name} WE refuse: {a}"),
        }
    }
}
