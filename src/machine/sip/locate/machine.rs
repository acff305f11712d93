//! [`Locate`]: from a target to places, by as many rounds of questions as RFC 3263 wants.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::records::{Answer, NoAnswer, Question, Srv, services, srv_name, srv_order};
use super::target::{LocateError, Place, Target, TargetHost};
use crate::entropy::Entropy;
use crate::machine::sip::transport::Transport;

/// Services of one domain that are asked for.
const SERVICES: usize = 5;
/// Hosts of all services together that are asked for.
const HOSTS: usize = 8;
/// Addresses of one host that are tried.
const ADDRESSES: usize = 8;
/// Places that are tried.
const PLACES: usize = 16;

/// Finds the places of one target.
///
/// * Input: [`handle_answer`](Self::handle_answer), once for each question, in any order.
/// * After that, drain [`poll_question`](Self::poll_question); all of them may be asked at once. There
///   are at most three rounds, of at most eight questions each.
/// * Done when [`outcome`](Self::outcome) says something: at the latest when all are answered.
#[derive(Debug)]
pub struct Locate {
    target: Target,
    supported: Vec<Transport>,
    questions: VecDeque<Question>,
    state: State,
    /// Whether a question went unanswered, so that what is missing may exist.
    failed: bool,
    /// Whether a service was denied by name (RFC 2782: a target of `.`).
    denied: bool,
}

#[derive(Debug)]
enum State {
    /// Waits for the NAPTR records.
    Naptr,
    /// Waits for the SRV records of each service, best first.
    Services(Vec<Service>),
    /// Waits for the addresses of each host, best first.
    Hosts(Vec<Host>),
    Done(Result<Vec<Place>, LocateError>),
}

#[derive(Debug)]
struct Service {
    transport: Transport,
    name: Arc<str>,
    records: Option<Vec<Srv>>,
}

#[derive(Debug)]
struct Host {
    transport: Transport,
    name: Arc<str>,
    port: u16,
    addresses: Option<Vec<IpAddr>>,
}

impl Host {
    fn new(transport: Transport, name: Arc<str>, port: u16) -> Self {
        // RFC 2782: the target of an SRV record is no address; where it is one, it means what it says.
        let addresses = name.parse().ok().map(|ip| vec![ip]);
        Self { transport, name, port, addresses }
    }
}

impl Locate {
    /// Begins to look for `target`. `supported` names the transports that can be sent over, best
    /// first: where the DNS offers several without preferring one, they are tried in that order.
    #[must_use]
    pub fn new(target: Target, supported: &[Transport]) -> Self {
        let mut locate = Self {
            target,
            supported: supported.to_vec(),
            questions: VecDeque::new(),
            state: State::Naptr,
            failed: false,
            denied: false,
        };
        locate.begin();
        locate
    }

    /// What is looked for.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The next question to ask.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// What was found: at least one place, best first.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Result<Vec<Place>, LocateError>> {
        match &self.state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// What was found, handed over.
    ///
    /// # Errors
    /// Why nothing was; before the end, [`LocateError::Timeout`].
    pub fn into_outcome(self) -> Result<Vec<Place>, LocateError> {
        match self.state {
            State::Done(outcome) => outcome,
            _ => Err(LocateError::Timeout),
        }
    }

    /// Takes the answer to a question; `entropy` draws among SRV records of equal priority.
    pub fn handle_answer(
        &mut self,
        question: &Question,
        answer: Result<Answer, NoAnswer>,
        entropy: &mut dyn Entropy,
    ) {
        self.failed |= answer == Err(NoAnswer::Failed);
        match (question, answer.ok()) {
            (Question::Naptr(_), answer) => {
                if matches!(self.state, State::Naptr) {
                    let records = match answer {
                        Some(Answer::Naptr(records)) => records,
                        _ => Vec::new(),
                    };
                    self.take_naptr(&services(&records, self.target.secure, &self.supported));
                }
            }
            (Question::Srv(name), answer) => {
                let found = match answer {
                    Some(Answer::Srv(records)) => records,
                    _ => Vec::new(),
                };
                self.take_srv(name, &found, entropy);
            }
            (Question::Addresses(name), answer) => {
                let found = match answer {
                    Some(Answer::Addresses(addresses)) => addresses,
                    _ => Vec::new(),
                };
                self.take_addresses(name, &found);
            }
        }
    }

    fn begin(&mut self) {
        let (target, asked) = (&self.target, self.target.transport);
        let transport = asked.unwrap_or_else(|| target.default_transport());
        let named = asked.is_some() || target.port.is_some() || matches!(target.host, TargetHost::Address(_));
        if named && !self.supported.contains(&transport) {
            self.state = State::Done(Err(LocateError::Transport));
            return;
        }
        match (&target.host, target.port, asked) {
            // RFC 3263 4.1, 4.2: a numeric address is used as it is, with the port of the URI, else the
            // default port of the transport.
            (TargetHost::Address(ip), port, _) => {
                let port = port.unwrap_or(transport.default_port());
                let place = self.place(transport, SocketAddr::new(*ip, port));
                self.state = State::Done(Ok(vec![place]));
            }
            // RFC 3263 4.2: with a port, A and AAAA records, no SRV.
            (TargetHost::Name(name), Some(port), _) => {
                let host = Host::new(transport, Arc::clone(name), port);
                self.ask_hosts(vec![host]);
            }
            // RFC 3263 4.2: with a transport, the SRV records for that one.
            (TargetHost::Name(name), None, Some(transport)) => {
                let service = (transport, srv_name(name, transport));
                self.ask_services(&[service]);
            }
            // RFC 3263 4.1: with neither, NAPTR.
            (TargetHost::Name(name), None, None) => {
                self.questions.push_back(Question::Naptr(Arc::clone(name)));
            }
        }
    }

    fn take_naptr(&mut self, found: &[(Transport, Arc<str>)]) {
        let TargetHost::Name(name) = &self.target.host else { return };
        if found.is_empty() {
            // RFC 3263 4.1: without NAPTR records, SRV for each transport that is supported; `_sips`
            // for a SIPS URI, `_sip` for a SIP URI.
            let fits = |transport: &&Transport| transport.is_secure() == self.target.secure;
            let all: Vec<_> =
                self.supported.iter().filter(fits).map(|of| (*of, srv_name(name, *of))).collect();
            self.ask_services(&all);
        } else {
            self.ask_services(found);
        }
    }

    fn ask_services(&mut self, services: &[(Transport, Arc<str>)]) {
        let mut asked: Vec<Service> = Vec::new();
        for (transport, name) in services.iter().take(SERVICES) {
            if !asked.iter().any(|known| known.name == *name) {
                self.questions.push_back(Question::Srv(Arc::clone(name)));
            }
            asked.push(Service { transport: *transport, name: Arc::clone(name), records: None });
        }
        if asked.is_empty() {
            self.state = State::Done(Err(LocateError::Transport));
        } else {
            self.state = State::Services(asked);
        }
    }

    fn take_srv(&mut self, name: &str, found: &[Srv], entropy: &mut dyn Entropy) {
        let State::Services(services) = &mut self.state else { return };
        for service in services.iter_mut().filter(|service| *service.name == *name) {
            service.records = Some(srv_order(found.to_vec(), entropy));
        }
        if services.iter().any(|service| service.records.is_none()) {
            return;
        }
        let mut hosts: Vec<Host> = Vec::new();
        for service in services.iter() {
            for record in service.records.iter().flatten() {
                // RFC 2782: a target of "." means that the service is decidedly not available.
                self.denied |= record.is_denial();
                let host = record.host().map(|name| Host::new(service.transport, name, record.port));
                hosts.extend(host);
            }
        }
        let preferred = services.first().map(|service| service.transport);
        if hosts.is_empty() && !self.denied {
            // RFC 3263 4.1, 4.2: without SRV records, the addresses of the domain itself, over the
            // transport chosen before, else UDP or TLS.
            self.ask_domain(preferred);
        } else {
            self.ask_hosts(hosts);
        }
    }

    /// Asks for the addresses of the domain itself, at the default port.
    fn ask_domain(&mut self, preferred: Option<Transport>) {
        let TargetHost::Name(name) = &self.target.host else { return };
        let usual = self.target.default_transport();
        let transport = match self.target.transport {
            Some(transport) => Some(transport),
            None if self.supported.contains(&usual) => Some(usual),
            None => preferred,
        };
        match transport {
            Some(transport) => {
                let host = Host::new(transport, Arc::clone(name), transport.default_port());
                self.ask_hosts(vec![host]);
            }
            None => self.state = State::Done(Err(LocateError::Transport)),
        }
    }

    fn ask_hosts(&mut self, mut hosts: Vec<Host>) {
        hosts.truncate(HOSTS);
        let mut asked: Vec<&Arc<str>> = Vec::new();
        for host in &hosts {
            if host.addresses.is_none() && !asked.contains(&&host.name) {
                self.questions.push_back(Question::Addresses(Arc::clone(&host.name)));
                asked.push(&host.name);
            }
        }
        self.state = State::Hosts(hosts);
        self.conclude();
    }

    fn take_addresses(&mut self, name: &str, found: &[IpAddr]) {
        let State::Hosts(hosts) = &mut self.state else { return };
        for host in hosts.iter_mut().filter(|host| *host.name == *name) {
            host.addresses = Some(found.iter().copied().take(ADDRESSES).collect());
        }
        self.conclude();
    }

    /// Ends where every host has its addresses.
    fn conclude(&mut self) {
        let State::Hosts(hosts) = &self.state else { return };
        if hosts.iter().any(|host| host.addresses.is_none()) {
            return;
        }
        let mut places: Vec<Place> = Vec::new();
        for host in hosts {
            for ip in host.addresses.iter().flatten() {
                let place = self.place(host.transport, SocketAddr::new(*ip, host.port));
                if places.len() < PLACES && !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        self.state = State::Done(match places.is_empty() {
            false => Ok(places),
            true if self.failed => Err(LocateError::Timeout),
            true if self.denied => Err(LocateError::NotOffered),
            true => Err(LocateError::NotFound),
        });
    }

    fn place(&self, transport: Transport, addr: SocketAddr) -> Place {
        let upgrade = transport == Transport::Udp && self.target.transport.is_none();
        Place { transport, addr, upgrade, domain: self.target.name().cloned() }
    }
}
