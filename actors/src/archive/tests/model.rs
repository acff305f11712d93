//! Random operations: the embedded store answers as the in-memory model does, opened again at any
//! moment.

use proptest::prelude::*;
use restante::store::memory::Memory;
use restante::store::{After, ItemState, ListQuery, Quota, SessionId, Store, SubscriptionRecord};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Deposit {
        owner: u8,
        sender: u8,
        call: u8,
        tag: u8,
        cseq: u8,
        size: usize,
        flags: u8,
        ends: u64,
        remember: u64,
    },
    OpenSession {
        owner: u8,
        sender: u8,
        call: u8,
        tag: u8,
        cseq: u8,
        ends: u64,
    },
    Append {
        session: u8,
        size: usize,
        text: bool,
    },
    CloseSession {
        session: u8,
    },
    Retrieved {
        owner: u8,
        call: u8,
        cseq: u8,
        suffix: bool,
        delete: bool,
    },
    Expire {
        now: u64,
    },
    Subscribe {
        owner: u8,
        key: u8,
        expires: u64,
    },
    Unsubscribe {
        owner: u8,
        key: u8,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 0..200usize, 1 => 4000..5000usize, 1 => 32_760..32_780usize];
    prop_oneof![
        8 => (0..3u8, (0..4u8, 0..2u8), 0..3u8, 1..3u8, size.clone(), 0..4u8, 0..1000u64, 0..1000u64).prop_map(
            |(owner, (call, sender), tag, cseq, size, flags, ends, remember)| {
                Step::Deposit { owner, sender, call, tag, cseq, size, flags, ends, remember }
            }
        ),
        2 => (0..3u8, 0..2u8, 0..4u8, 0..3u8, 1..3u8, 0..1000u64).prop_map(
            |(owner, sender, call, tag, cseq, ends)| Step::OpenSession { owner, sender, call, tag, cseq, ends }
        ),
        4 => (0..8u8, size, any::<bool>()).prop_map(|(session, size, text)| Step::Append { session, size, text }),
        2 => (0..8u8).prop_map(|session| Step::CloseSession { session }),
        4 => (0..3u8, 0..4u8, 1..3u8, any::<bool>(), any::<bool>()).prop_map(
            |(owner, call, cseq, suffix, delete)| Step::Retrieved { owner, call, cseq, suffix, delete }
        ),
        1 => (0..1500u64).prop_map(|now| Step::Expire { now }),
        1 => (0..3u8, 0..3u8, 0..1500u64).prop_map(|(owner, key, expires)| Step::Subscribe { owner, key, expires }),
        1 => (0..3u8, 0..3u8).prop_map(|(owner, key)| Step::Unsubscribe { owner, key }),
        1 => Just(Step::Reopen),
    ]
}

fn owner(number: u8) -> Owner {
    Owner::new(&[b'u', b'0' + number], "example.com")
}

fn deposit_key(call: u8, tag: u8, cseq: u8) -> DepositKey {
    // `c~1` is what a suffix makes of `c`, and a Call-ID too.
    let calls = ["c", "d", "c~1", "c~1~2"];
    key(calls[usize::from(call)], &tag.to_string(), u32::from(cseq))
}

/// Does a step, and gives what it came to in a form that two stores can be compared by.
fn take(store: &dyn Store, sessions: &mut [Option<SessionId>], step: &Step) -> String {
    let quota = Quota { items: 6, bytes: 50_000, sender_items: 4, sender_bytes: 40_000 };
    match *step {
        Step::Deposit { owner: o, sender, call, tag, cseq, size, flags, ends, remember } => {
            let envelope = Envelope { text: flags & 1 == 0, urgent: flags & 2 != 0, ..envelope() };
            let deposit = PagerDeposit {
                owner: owner(o),
                sender: owner(sender),
                envelope,
                quota,
                now: Timestamp(500),
                ends: Timestamp(ends),
                remember: Duration::from_millis(remember),
                ..pager(deposit_key(call, tag, cseq), noise(size))
            };
            format!("{:?}", wait(store.deposit(deposit)))
        }
        Step::OpenSession { owner: o, sender, call, tag, cseq, ends } => {
            let deposit = SessionDeposit {
                owner: owner(o),
                sender: owner(sender),
                quota,
                ends: Timestamp(ends),
                ..session(deposit_key(call, tag, cseq))
            };
            let place = usize::from(call * 2 + tag % 2);
            if let Some(earlier) = sessions[place].take() {
                let _ = wait(store.close_session(earlier));
            }
            let outcome = wait(store.open_session(deposit));
            sessions[place] = outcome.as_ref().ok().copied();
            format!("{:?}", outcome.map(drop))
        }
        Step::Append { session, size, text } => {
            let Some(id) = sessions[usize::from(session)] else { return String::new() };
            format!("{:?}", wait(store.append(id, NewMessage { text, ..message("m", noise(size)) })))
        }
        Step::CloseSession { session } => {
            let Some(id) = sessions[usize::from(session)].take() else { return String::new() };
            format!("{:?}", wait(store.close_session(id)))
        }
        Step::Retrieved { owner: o, call, cseq, suffix, delete } => {
            let call_id = String::from_utf8(deposit_key(call, 0, 1).call_id.to_vec()).unwrap();
            let id = id(&if suffix { format!("{call_id}~{cseq}") } else { call_id });
            let after = if delete { After::Delete } else { After::Keep };
            format!("{:?}", wait(store.retrieved(owner(o), id, after)))
        }
        Step::Expire { now } => {
            let (mut owners, mut removed, mut items) = (std::collections::BTreeSet::new(), 0, 0);
            loop {
                let step = wait(store.expire(Timestamp(now), 3)).unwrap();
                owners.extend(step.owners);
                removed += step.removed;
                items += step.items;
                if !step.more {
                    return format!("{owners:?} {removed} {items}");
                }
            }
        }
        Step::Subscribe { owner: o, key, expires } => {
            let record = Bytes::from(expires.to_string());
            let key = Bytes::from(vec![key]);
            let record = SubscriptionRecord { owner: owner(o), key, record, expires: Timestamp(expires) };
            format!("{:?}", wait(store.put_subscription(record)))
        }
        Step::Unsubscribe { owner: o, key } => {
            format!("{:?}", wait(store.remove_subscription(owner(o), Bytes::from(vec![key]))))
        }
        Step::Reopen => {
            sessions.fill(None);
            String::new()
        }
    }
}

/// All that can be seen of a store.
fn view(store: &dyn Store) -> String {
    let mut view = String::new();
    for number in 0..3 {
        let owner = owner(number);
        let heads = wait(store.list(owner.clone(), ListQuery::default())).unwrap();
        for head in &heads {
            let item = wait(store.open(owner.clone(), head.message_id.clone())).unwrap().unwrap();
            assert_eq!(item.head, *head);
            let shape: Vec<_> = item.messages.iter().map(|m| (&m.message_id, m.size, m.received)).collect();
            view += &format!("{head:?} {shape:?} {:?}\n", bodies(store, &item));
        }
        let old = ListQuery { state: Some(ItemState::Old), limit: 2, after: Some(1) };
        view += &format!("{:?} {:?}\n", wait(store.list(owner.clone(), old)), wait(store.counts(owner)));
    }
    view + &format!("{:?}", wait(store.subscriptions(None, 100)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_embedded_store_answers_as_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let place = place();
        let model = Memory::new();
        let mut store = open(&place);
        let (mut ours, mut theirs) = ([None; 8], [None; 8]);
        for step in &steps {
            let expected = take(&model, &mut theirs, step);
            prop_assert_eq!(take(&store, &mut ours, step), expected, "{:?}", step);
            if matches!(step, Step::Reopen) {
                model.restart();
                drop(store);
                store = open(&place);
                prop_assert_eq!(view(&store), view(&model));
            }
        }
        prop_assert_eq!(view(&store), view(&model));
    }
}
