//! The UAC half of an INVITE usage: acceptance, refusal, cancellation, forks, BYE from either side.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::test_support::{answer, request, transactions, within};
use super::*;
use crate::machine::sip::FailureCause;
use crate::wire::sip::{HeaderName, Method, Request, StatusCode};

const RINGING: StatusCode = StatusCode(180);

fn invited() -> (Invitation, Request) {
    let mut invitation = Invitation::new(request(Method::Invite, "sip:a%40b@store.example.com"));
    match invitation.poll_action() {
        Some(InvitationAction::Invite(invite)) => (invitation, invite),
        other => panic!("{other:?}"),
    }
}

fn accepted() -> (Invitation, Request) {
    let (mut invitation, invite) = invited();
    invitation.handle_response(&answer(&invite, StatusCode::OK, "s1"));
    assert_eq!(told(&mut invitation), ["ACK"]);
    (invitation, invite)
}

/// What it wants and tells, in a word each.
fn told(invitation: &mut Invitation) -> Vec<String> {
    let mut out: Vec<String> = std::iter::from_fn(|| invitation.poll_action())
        .map(|action| match action {
            InvitationAction::Invite(request)
            | InvitationAction::Bye(request)
            | InvitationAction::Ack(request) => request.method.to_string(),
            InvitationAction::HangUp(request) => format!("hang up {}", request.uri.escape_ascii()),
            InvitationAction::Cancel => "CANCEL".to_owned(),
            InvitationAction::Respond(_, response) => response.status.to_string(),
        })
        .collect();
    out.extend(std::iter::from_fn(|| invitation.poll_event()).filter_map(|event| match event {
        InvitationEvent::Accepted(_) => None,
        InvitationEvent::Progress(status) => Some(format!("progress {status}")),
        InvitationEvent::Refused(refusal) => Some(format!("refused {}", refusal.status)),
        InvitationEvent::Ended(end) => Some(format!("ended {end:?}")),
    }));
    out
}

// proves RFC 3261 13.2.2.4: the ACK, and its repetition with every repeated 2xx
#[test]
fn an_acceptance_is_acknowledged_each_time_it_comes() {
    let (mut invitation, invite) = invited();
    invitation.handle_response(&answer(&invite, StatusCode::TRYING, "s1"));
    invitation.handle_response(&answer(&invite, RINGING, "s1"));
    assert_eq!(told(&mut invitation), ["progress 180"]);
    let ok = answer(&invite, StatusCode::OK, "s1");
    invitation.handle_response(&ok);
    let Some(InvitationAction::Ack(ack)) = invitation.poll_action() else { panic!("no ACK") };
    assert_eq!((ack.uri.as_ref(), ack.headers.cseq().unwrap().number), (&b"sip:focus@192.0.2.2:5060"[..], 1));
    assert_eq!(ack.headers.to_tag().unwrap(), "s1");
    assert!(matches!(invitation.poll_event(), Some(InvitationEvent::Accepted(_))));
    assert!(invitation.is_established() && invitation.dialog().is_some());
    invitation.handle_response(&ok);
    assert!(matches!(invitation.poll_action(), Some(InvitationAction::Ack(again)) if again == ack));
    assert!(invitation.poll_event().is_none(), "the user is told once");
}

// proves RFC 3261 22.1: the ACK has the credentials of the INVITE
#[test]
fn the_acknowledgement_has_the_credentials_of_the_invite() {
    let (mut invitation, mut invite) = invited();
    invite.headers.push(HeaderName::Authorization, "Digest x");
    invite.headers.set(HeaderName::CSeq, "2 INVITE");
    invitation.sent(&invite, true);
    invitation.handle_response(&answer(&invite, StatusCode::OK, "s1"));
    let Some(InvitationAction::Ack(ack)) = invitation.poll_action() else { panic!("no ACK") };
    assert_eq!(ack.headers.get(&HeaderName::Authorization).unwrap(), "Digest x");
    assert_eq!(ack.headers.cseq().unwrap().number, 2);
    invitation.bye(None);
    let Some(InvitationAction::Bye(bye)) = invitation.poll_action() else { panic!("no BYE") };
    assert_eq!(bye.headers.cseq().unwrap().number, 3);
}

#[test]
fn refusal_and_failure_end_it() {
    let (mut invitation, invite) = invited();
    invitation.handle_response(&answer(&invite, StatusCode::NOT_FOUND, "s1"));
    assert_eq!(told(&mut invitation), ["refused 404"]);
    assert!(invitation.is_ended());
    let (mut invitation, _) = invited();
    invitation.handle_failed(FailureCause::Timeout);
    assert_eq!(told(&mut invitation), ["ended Failed(Timeout)"]);
    let (mut invitation, invite) = invited();
    let mut no_contact = answer(&invite, StatusCode::OK, "s1");
    no_contact.headers.remove(&HeaderName::Contact);
    invitation.handle_response(&no_contact);
    assert_eq!(told(&mut invitation), ["ended Unintelligible"]);
}

// proves RFC 3261 15, 15.1.1: who was accepted ends by BYE; the session is over whatever it is answered
#[test]
fn our_bye_ends_it_when_it_is_answered() {
    let (mut invitation, _) = accepted();
    invitation.bye(Some("SIP;cause=200"));
    invitation.bye(None);
    assert_eq!(told(&mut invitation), ["BYE"]);
    assert!(!invitation.is_ended() && !invitation.is_established());
    invitation.handle_bye_response();
    invitation.handle_bye_response();
    assert_eq!(told(&mut invitation), ["ended Local"]);
}

// proves RFC 3261 15.1.2, 12.2.2
#[test]
fn the_stores_bye_is_answered_and_ends_it() {
    let (mut invitation, invite) = accepted();
    let [one, two] = transactions();
    let bye = within(&invite, Method::Bye, 7, "s1");
    assert!(invitation.matches(&bye));
    assert!(!invitation.matches(&within(&invite, Method::Bye, 7, "other")));
    invitation.handle_request(one, &bye);
    assert_eq!(told(&mut invitation), ["200", "ended Remote"]);
    invitation.handle_request(two, &within(&invite, Method::Bye, 8, "s1"));
    assert_eq!(told(&mut invitation), ["481"]);
}

// proves RFC 3261 14.2, 12.2.2: what is not acceptable is refused, and the session goes on
#[test]
fn other_requests_in_the_dialog_are_answered() {
    let (mut invitation, invite) = accepted();
    let [txn, _] = transactions();
    for (cseq, method, status) in [
        (2, Method::Invite, "488"),
        (3, Method::Options, "200"),
        (4, Method::Update, "200"),
        (5, Method::Info, "469"),
        (6, Method::Message, "405"),
        (6, Method::Message, "500"),
    ] {
        invitation.handle_request(txn, &within(&invite, method, cseq, "s1"));
        assert_eq!(told(&mut invitation), [status], "{cseq}");
    }
    assert!(invitation.is_established());
}

// proves RFC 3261 9.1, 15
#[test]
fn a_cancelled_invite_ends_as_such_or_by_a_bye() {
    let (mut invitation, invite) = invited();
    invitation.cancel();
    invitation.cancel();
    assert_eq!(told(&mut invitation), ["CANCEL"]);
    invitation.handle_response(&answer(&invite, StatusCode::REQUEST_TERMINATED, "s1"));
    assert_eq!(told(&mut invitation), ["ended Cancelled"]);

    let (mut late, invite) = invited();
    late.bye(None);
    late.handle_response(&answer(&invite, StatusCode::OK, "s1"));
    assert_eq!(told(&mut late), ["CANCEL", "ACK", "BYE"]);
    late.handle_bye_response();
    assert_eq!(told(&mut late), ["ended Cancelled"]);
}

// proves RFC 3261 13.2.2.4: each further 2xx is acknowledged, and its dialog ended
#[test]
fn a_second_acceptance_is_acknowledged_and_hung_up() {
    let (mut invitation, invite) = accepted();
    let mut other = answer(&invite, StatusCode::OK, "s2");
    other.headers.set(HeaderName::Contact, "<sip:other@192.0.2.3>");
    invitation.handle_response(&other);
    assert_eq!(told(&mut invitation), ["ACK", "hang up sip:other@192.0.2.3"]);
    invitation.handle_response(&other);
    assert_eq!(told(&mut invitation), ["ACK"], "hung up once");
    assert!(invitation.is_established());
    assert_eq!(invitation.dialog().unwrap().remote_tag(), b"s1");
}
