//! Figure 1 of the change request, message by message: Charlie retrieves only what Joe deposited; then, by a URI-list,
//! both.

use crate::support::*;

const CHARLIE: &str = "sip:charlie@example.com";
const ALICES: &str = "32098d@alicepc.example.org";
const JOES: &str = "d0982dkjs@Joemobile.example.net";

/// Steps 1 and 2: Alice sends an IM by MESSAGE, and it is accepted.
fn alice_sends(node: &Node) {
    let mut alice = Ua::udp(node, "sip:alice@example.org");
    let message = alice
        .request("MESSAGE", CHARLIE)
        .with("Call-ID", ALICES)
        .add("Subject", "carpool tomorrow?")
        .add("Date", "Sun, 09 Jul 2000 21:23:01 -0700")
        .add("Priority", "normal")
        .body("text/plain", "Shall I fetch you at eight?");
    let accepted = alice.ask(message);
    assert_eq!((accepted.status(), accepted.reason()), (202, "Accepted"));
}

/// Steps 2 to 9: Joe sends an IM by INVITE: 200, ACK, SEND, 200, BYE, 200.
fn joe_sends(node: &Node) {
    let mut joe = Ua::udp(node, "sip:Joe@example.com");
    let mut invite = Invite::new(&joe, CHARLIE, Offer::active());
    invite.request = invite
        .request
        .with("Call-ID", JOES)
        .add("Subject", "HELP! at home ill, present for me please")
        .add("Date", "Sun, 09 Jul 2000 21:25:12 -0700")
        .add("Priority", "urgent");
    let mut call = invite.call_unbound(&mut joe);
    let mut msrp = call.connect();
    assert_eq!(msrp.send(&Chunk::whole("text/plain", "Slides are on my desk. Thank you!")), 200);
    call.bye(&mut joe);
}

/// Steps 10 to 13: SUBSCRIBE, 200, NOTIFY, 200, and the body of the figure.
fn charlie_is_told(charlie: &mut Ua) -> Dialog {
    let dialog = subscribe(charlie, CHARLIE, 3600);
    let notify = notified(charlie, &dialog);
    assert!(notify.need("Subscription-State").starts_with("active"));
    let expected = "Messages-Waiting: yes\r\nMessage-Account: sip:charlie@mailserver.example.com\r\n\
        Text-Message: 2/0 (1/0)\r\n\r\n\
        To: <charlie@example.com>\r\nFrom: <alice@example.org>\r\nSubject: carpool tomorrow?\r\n\
        Date: Sun, 09 Jul 2000 21:23:01 -0700\r\nPriority: normal\r\nMessage-ID: 32098d@alicepc.example.org\r\n\r\n\
        To: <charlie@example.com>\r\nFrom: <Joe@example.com>\r\nSubject: HELP! at home ill, present for me please\r\n\
        Date: Sun, 09 Jul 2000 21:25:12 -0700\r\nPriority: urgent\r\nMessage-ID: d0982dkjs@Joemobile.example.net\r\n";
    assert_eq!(Summary::of(&notify).text, expected);
    dialog
}

/// Steps 14 to 20: INVITE to Joe's message, 200, ACK, SEND, 200, BYE, 200.
fn charlie_retrieves_joes(charlie: &mut Ua) {
    let uri = "sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com";
    assert_eq!(message_uri(JOES), uri, "the escaped value as user name");
    let mut call = Invite::new(charlie, uri, Offer::active()).call(charlie);
    assert_eq!(address(&call.ok.need("To")), uri);
    let delivered = call.finish(charlie, 1).remove(0);
    assert_eq!(delivered.deferred.as_deref(), Some(JOES));
    let cpim = Cpim::parse(&delivered.body);
    assert!(cpim.get("From").unwrap().contains("<sip:Joe@example.com>"));
    assert_eq!(cpim.get("Subject"), Some("HELP! at home ill, present for me please"));
    assert_eq!(cpim.body, b"Slides are on my desk. Thank you!");
}

/// The whole figure.
pub fn play(node: &Node) {
    alice_sends(node);
    joe_sends(node);
    let mut charlie = Ua::udp(node, "charlie");
    let dialog = charlie_is_told(&mut charlie);
    charlie_retrieves_joes(&mut charlie);
    let after = Summary::of(&notified(&mut charlie, &dialog));
    assert_eq!((after.waiting, after.texts.as_deref()), (true, Some("1/1 (0/1)")));
    assert_eq!(fetch_by(&mut charlie).ids(), [ALICES], "Alice's alone is still new");
}

#[test]
fn charlie_retrieves_only_the_message_of_joe() {
    play(&Node::start());
}

#[test]
fn charlie_retrieves_both_by_a_list() {
    let node = Node::start();
    alice_sends(&node);
    joe_sends(&node);
    let mut charlie = Ua::udp(&node, "charlie");
    let dialog = charlie_is_told(&mut charlie);
    let uris = [message_uri(ALICES), message_uri(JOES)];
    let mut call = Invite::list(&charlie, &uris, Offer::active()).call(&mut charlie);
    assert!(call.ok.need("Contact").to_ascii_lowercase().contains(";isfocus"));
    let delivered = call.finish(&mut charlie, 2);
    let told: Vec<(&str, Vec<u8>)> = delivered
        .iter()
        .map(|message| (message.deferred.as_deref().unwrap(), Cpim::parse(&message.body).body))
        .collect();
    assert_eq!(told[0], (ALICES, b"Shall I fetch you at eight?".to_vec()));
    assert_eq!(told[1], (JOES, b"Slides are on my desk. Thank you!".to_vec()));
    // Two items became old, perhaps a second apart.
    loop {
        let after = Summary::of(&notified(&mut charlie, &dialog));
        if after.totals() == (0, 2) {
            assert_eq!((after.waiting, after.texts.as_deref()), (false, Some("0/2 (0/1)")));
            break;
        }
    }
}

#[test]
fn the_figure_survives_a_crash_after_each_step() {
    let mut node = Node::start();
    let crash = |node: &mut Node| {
        node.kill();
        node.launch();
    };
    alice_sends(&node);
    crash(&mut node);
    joe_sends(&node);
    crash(&mut node);
    let mut charlie = Ua::udp(&node, "charlie");
    charlie_is_told(&mut charlie);
    crash(&mut node);
    charlie_retrieves_joes(&mut charlie);
    crash(&mut node);
    let mut other = Ua::udp(&node, "charlie");
    assert_eq!(fetch_by(&mut other).ids(), [ALICES]);
}
