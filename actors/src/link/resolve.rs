//! Where a SIP or MSRP URI leads (RFC 3263; RFC 4975 6.2): the machine that knows what to ask
//! (`restante::machine::sip::locate`), driven over the DNS.

use super::dns::{Dns, DnsSettings, DnsUnusable};
use bytes::Bytes;
use restante::machine::sip::Transport;
use restante::machine::sip::locate::{Answer, Locate, LocateError, NoAnswer, Place, Question, Target};
use restante::wire::msrp::MsrpUri;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::chance::Chance;

/// The transports that requests can be sent over, best first.
const TRANSPORTS: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
/// The port of an MSRP URI that names none (RFC 4975 15.4).
const MSRP_PORT: u16 = 2855;
/// Addresses of an MSRP URI that are tried.
const ADDRESSES: usize = 8;
/// How long a question may go unanswered before it makes room for others: an answer with addresses of one family comes
/// half a second after them at the latest ([`super::dns`]), and most servers find out within the other half what they do not know.
const PROMPT: Duration = Duration::from_secs(1);
/// How long a question waits for its turn at most.
const WAIT: Duration = Duration::from_secs(15);

type Asking = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send>>;
type Reply = OnceCell<Result<Answer, NoAnswer>>;

/// Finds places; clones share what they know.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

/// A name that nobody answers holds a place for the first second only: so none of those that are answered waits long for
/// its turn, however many others there are.
struct Inner {
    ask: Box<dyn Fn(Question, Instant) -> Asking + Send + Sync>,
    timeout: Duration,
    /// For questions just asked; further ones wait.
    prompt: Semaphore,
    /// For those that have had no answer for a while, as many; a further one is given up.
    patient: Semaphore,
    /// What is being asked, by all who wait for the answer.
    asked: Mutex<HashMap<Question, Asked>>,
}

/// A question that is being asked.
#[derive(Default)]
struct Asked {
    answered: Arc<Reply>,
    /// How many want to know.
    wanted: usize,
}

impl Resolver {
    /// A resolver that asks the DNS.
    ///
    /// # Errors
    /// The DNS client cannot be set up.
    pub fn new(settings: &DnsSettings) -> Result<Self, DnsUnusable> {
        let dns = Dns::new(settings)?;
        let places = dns.places(settings.sockets);
        Ok(Self::asking(settings.timeout, places, move |question, deadline| {
            Box::pin(dns.clone().ask(question, deadline))
        }))
    }

    fn asking(
        timeout: Duration,
        places: usize,
        ask: impl Fn(Question, Instant) -> Asking + Send + Sync + 'static,
    ) -> Self {
        let (prompt, patient) = (Semaphore::new(places), Semaphore::new(places));
        Self(Arc::new(Inner { ask: Box::new(ask), timeout, prompt, patient, asked: Mutex::default() }))
    }

    /// Where a request to the raw URI `uri` (a next hop: Request-URI or route) may go, best first.
    ///
    /// # Errors
    /// It leads nowhere.
    pub fn sip(&self, uri: &Bytes) -> impl Future<Output = Result<Vec<Place>, LocateError>> + Send + use<> {
        let (resolver, target) = (self.clone(), Target::parse(uri));
        async move { resolver.locate(target?).await }
    }

    /// The same, where nothing has to be asked for it.
    #[must_use]
    pub fn sip_at_once(&self, uri: &Bytes) -> Option<Result<Vec<Place>, LocateError>> {
        match Target::parse(uri) {
            Ok(target) => Locate::new(target, TRANSPORTS).outcome().cloned(),
            Err(error) => Some(Err(error)),
        }
    }

    /// Where `target` is.
    ///
    /// # Errors
    /// It is nowhere.
    pub async fn locate(&self, target: Target) -> Result<Vec<Place>, LocateError> {
        let mut locate = Locate::new(target, TRANSPORTS);
        let mut asked = JoinSet::new();
        while locate.outcome().is_none() {
            while let Some(question) = locate.poll_question() {
                let asking = self.clone().answer(question.clone());
                asked.spawn(async move { (question, asking.await) });
            }
            match asked.join_next().await {
                Some(Ok((question, answer))) => locate.handle_answer(&question, answer, &mut Chance),
                // A task that panicked or was cancelled: its question has no answer.
                Some(Err(_)) | None => break,
            }
        }
        locate.into_outcome()
    }

    /// The addresses to connect to for an MSRP URI, best first (RFC 4975 6.2: no SRV, the port is known).
    ///
    /// # Errors
    /// Its transport is not supported, or its host has no address.
    pub fn msrp(
        &self,
        uri: &MsrpUri,
    ) -> impl Future<Output = Result<Vec<SocketAddr>, LocateError>> + Send + use<> {
        let resolver = self.clone();
        // RFC 7977 5.1: who speaks WebSocket cannot be connected to.
        let supported = uri.transport().eq_ignore_ascii_case(b"tcp");
        let (literal, host, port) = (uri.address(), uri.host().to_vec(), uri.port().unwrap_or(MSRP_PORT));
        async move {
            if !supported {
                return Err(LocateError::Transport);
            }
            let found: Vec<IpAddr> = match literal {
                Some(ip) => vec![ip],
                None => resolver.addresses(&host).await?,
            };
            Ok(found.into_iter().take(ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect())
        }
    }

    async fn addresses(self, host: &[u8]) -> Result<Vec<IpAddr>, LocateError> {
        let host = std::str::from_utf8(host).map_err(|_| LocateError::Malformed)?;
        match self.answer(Question::Addresses(host.to_ascii_lowercase().into())).await {
            Ok(Answer::Addresses(found)) if !found.is_empty() => Ok(found),
            Ok(_) | Err(NoAnswer::NotFound) => Err(LocateError::NotFound),
            Err(NoAnswer::Failed) => Err(LocateError::Timeout),
        }
    }

    /// The answer to a question, which is asked once, however many want to know.
    async fn answer(self, question: Question) -> Result<Answer, NoAnswer> {
        let wanted = Wanted::new(&self.0, question);
        wanted.answered.get_or_init(|| self.0.ask_in_turn(wanted.question.clone())).await.clone()
    }
}

impl Inner {
    /// Asks a question when its turn comes; its time begins then.
    async fn ask_in_turn(&self, question: Question) -> Result<Answer, NoAnswer> {
        let turn = tokio::time::timeout(WAIT, self.prompt.acquire()).await;
        let Ok(Ok(turn)) = turn else { return Err(NoAnswer::Failed) };
        let begun = Instant::now();
        let deadline = begun + self.timeout;
        let mut asking = (self.ask)(question, deadline);
        if let Ok(answer) = tokio::time::timeout_at(deadline.min(begun + PROMPT), &mut asking).await {
            return answer;
        }
        let Ok(_patience) = self.patient.try_acquire() else { return Err(NoAnswer::Failed) };
        drop(turn);
        tokio::time::timeout_at(deadline, asking).await.unwrap_or(Err(NoAnswer::Failed))
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Question, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for an answer. Where he asks himself and goes away, the next one asks; with the last one the question
/// is forgotten.
struct Wanted<'a> {
    resolver: &'a Inner,
    question: Question,
    answered: Arc<Reply>,
}

impl<'a> Wanted<'a> {
    fn new(resolver: &'a Inner, question: Question) -> Self {
        let mut all = resolver.asked();
        let asked = all.entry(question.clone()).or_default();
        asked.wanted += 1;
        let answered = Arc::clone(&asked.answered);
        drop(all);
        Self { resolver, question, answered }
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut asked = self.resolver.asked();
        let Some(ours) = asked.get_mut(&self.question).filter(|it| Arc::ptr_eq(&it.answered, &self.answered))
        else {
            return;
        };
        ours.wanted -= 1;
        // What is answered is the DNS client's to remember; who asks from now on asks anew.
        if ours.wanted == 0 || self.answered.initialized() {
            asked.remove(&self.question);
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use restante::machine::sip::locate::Srv;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TIMEOUT: Duration = Duration::from_secs(5);
    const PLACES: usize = 16;

    fn resolver(asked: &Arc<AtomicUsize>) -> Resolver {
        let asked = Arc::clone(asked);
        Resolver::asking(TIMEOUT, PLACES, move |question, _| {
            asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match question {
                    Question::Srv(name) if &*name == "_sip._udp.example.com" => Ok(Answer::Srv(vec![
                        Srv { priority: 2, weight: 0, port: 5062, target: "slow.example".into() },
                        Srv { priority: 1, weight: 0, port: 5061, target: "example.com".into() },
                    ])),
                    Question::Addresses(name) if &*name == "example.com" => Ok(Answer::Addresses(vec![
                        "192.0.2.1".parse().unwrap(),
                        "2001:db8::1".parse().unwrap(),
                    ])),
                    Question::Addresses(name) if &*name == "slow.example" => std::future::pending().await,
                    _ => Err(NoAnswer::NotFound),
                }
            })
        })
    }

    async fn way(uri: &'static str) -> Result<Vec<String>, LocateError> {
        let found = resolver(&Arc::default()).sip(&Bytes::from_static(uri.as_bytes())).await?;
        Ok(found.iter().map(|place| format!("{} {}", place.transport, place.addr)).collect())
    }

    // proves RFC 3263 4.2: what one server's name is slow to say holds up the others for a while only
    #[tokio::test(start_paused = true)]
    async fn places_are_found_by_questions() {
        let all = way("sip:bob@EXAMPLE.com").await.unwrap();
        assert_eq!(all, ["UDP 192.0.2.1:5061", "UDP [2001:db8::1]:5061"]);
        assert_eq!(way("sip:bob@example.com:5080;transport=tcp").await.unwrap()[0], "TCP 192.0.2.1:5080");
        assert_eq!(way("sip:slow.example:5060").await, Err(LocateError::Timeout));
        assert_eq!(way("sip:nobody.invalid").await, Err(LocateError::NotFound));
        assert_eq!(way("tel:+1").await, Err(LocateError::Malformed));
    }

    #[tokio::test]
    async fn nothing_is_asked_about_a_numeric_address() {
        let asked = Arc::default();
        let resolver = resolver(&asked);
        let numeric = Bytes::from_static(b"sip:bob@192.0.2.7:5080");
        assert_eq!(resolver.sip(&numeric).await.unwrap()[0].addr, "192.0.2.7:5080".parse().unwrap());
        assert!(resolver.sip_at_once(&numeric).unwrap().is_ok());
        assert!(resolver.sip_at_once(&Bytes::from_static(b"sip:example.com")).is_none());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    // proves RFC 4975 6.2
    #[tokio::test]
    async fn msrp_uris_have_their_own_port_and_all_addresses() {
        let resolver = resolver(&Arc::default());
        let literal = MsrpUri::parse(b"msrp://192.0.2.7:9/s;tcp").unwrap();
        assert_eq!(resolver.msrp(&literal).await, Ok(vec!["192.0.2.7:9".parse().unwrap()]));
        let name = MsrpUri::parse(b"msrp://Example.com/s;tcp").unwrap();
        let both = vec!["192.0.2.1:2855".parse().unwrap(), "[2001:db8::1]:2855".parse().unwrap()];
        assert_eq!(resolver.msrp(&name).await, Ok(both));
        let secure = MsrpUri::parse(b"msrps://example.com/s;ws").unwrap();
        assert_eq!(resolver.msrp(&secure).await, Err(LocateError::Transport));
    }

    /// One whose names are answered after as many milliseconds as they say, if they say a number; and how often it was asked.
    fn slow() -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver::asking(TIMEOUT, PLACES, move |question, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                let Question::Addresses(name) = question else { return Err(NoAnswer::NotFound) };
                match name.split('.').next().and_then(|first| first.parse().ok()) {
                    Some(after) => tokio::time::sleep(Duration::from_millis(after)).await,
                    None => std::future::pending().await,
                }
                Ok(Answer::Addresses(vec!["192.0.2.1".parse().unwrap()]))
            })
        });
        (resolver, asked)
    }

    /// What comes of looking for a host, and after how many milliseconds.
    async fn looked_for(resolver: Resolver, host: String) -> (bool, u128) {
        let begun = Instant::now();
        let found = resolver.sip(&Bytes::from(format!("sip:{host}:5060"))).await;
        assert!(matches!(found, Ok(_) | Err(LocateError::Timeout)), "{found:?}");
        (found.is_ok(), begun.elapsed().as_millis())
    }

    /// So many names that nobody answers, each of which is looked for since ten milliseconds.
    async fn silent(resolver: &Resolver, names: usize) -> JoinSet<(bool, u128)> {
        let host = |name| format!("silent-{name}.example");
        let all = (0..names).map(|name| looked_for(resolver.clone(), host(name))).collect();
        tokio::time::sleep(Duration::from_millis(10)).await;
        all
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_nobody_answers_hold_up_no_other() {
        let (resolver, _) = slow();
        let unanswered = silent(&resolver, 10 * PLACES).await;
        // Each second makes room for as many as there are places.
        assert_eq!(looked_for(resolver.clone(), "2.good.example".into()).await, (true, 9_992));
        // Theirs are given up when it is others' turn, but for as many as there are places.
        let ends = unanswered.join_all().await;
        assert!(ends.iter().all(|(found, _)| !found));
        assert!(ends.iter().filter(|(_, after)| after % 5000 == 0).count() >= PLACES, "{ends:?}");
        assert_eq!(looked_for(resolver, "4900.good.example".into()).await, (true, 4900), "late, but in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_its_turn_for_a_while_and_its_time_begins_then() {
        let (resolver, _) = slow();
        let first = tokio::spawn(looked_for(resolver.clone(), "1500.example".into()));
        let unanswered = silent(&resolver, PLACES - 1).await;
        assert_eq!(looked_for(resolver.clone(), "4900.late.example".into()).await, (true, 5890));
        assert!(first.await.unwrap().0);
        unanswered.join_all().await;
        let ends = silent(&resolver, 30 * PLACES).await.join_all().await;
        assert!(ends.iter().all(|(found, after)| !found && *after <= 20_000), "{ends:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_want_to_know_is_asked_once() {
        let (resolver, asked) = slow();
        let of = |host: &str| looked_for(resolver.clone(), host.to_owned());
        let mut all: JoinSet<_> = (0..100).map(|_| of("300.good.example")).collect();
        all.join_next().await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(all.join_all().await, [(true, 300); 99]);
        assert_eq!(of("300.good.example").await, (true, 300), "the DNS client's cache is not ours");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // Who has asked goes away: another asks.
        let first = tokio::spawn(of("silent.example"));
        tokio::task::yield_now().await;
        let second = tokio::spawn(of("silent.example"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        first.abort();
        assert_eq!(second.await.unwrap(), (false, 7000));
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        assert!(resolver.0.asked().is_empty());
    }
}
