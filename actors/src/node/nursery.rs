//! Nursery: starts a shard and its endpoint on each core.

use std::sync::Arc;

use actix::{Actor, Addr, ArbiterHandle, AsyncContext};
use restante::machine::sip::EndpointConfig;

use crate::admission::Admission;
use crate::config::Listen;
use crate::endpoint::{Entrance, SipEndpoint};
use crate::gate::Gate;
use crate::link::SipTransport;
use crate::router::shard_name;
use crate::shard::{Attach, Shard, Totals, Watched};
use crate::shared::Shared;
use crate::supervision::Fatal;

/// What all shards and endpoints have in common.
pub(super) struct Nursery<'a> {
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Arc<Gate>,
    pub(super) admission: Admission,
    pub(super) sip: SipTransport,
    /// The SIP listeners, which Vias name.
    pub(super) bound: &'a [Listen],
    pub(super) totals: Arc<Totals>,
    pub(super) watched: Watched,
    /// Who is told when one of them has failed.
    pub(super) fatal: &'a Fatal,
}

impl Nursery<'_> {
    /// Starts a shard and its endpoint on each of the arbiters.
    pub(super) async fn start_on(
        &self,
        handles: &[ArbiterHandle],
    ) -> anyhow::Result<(Vec<Addr<SipEndpoint>>, Vec<Addr<Shard>>)> {
        let (mut endpoints, mut shards) = (Vec::new(), Vec::new());
        for (index, handle) in handles.iter().enumerate() {
            let name = shard_name(index);
            let shard = self.shard(handle, name.clone());
            let endpoint = self.endpoint(handle, &name, shard.clone());
            shard.send(Attach(endpoint.clone())).await?;
            endpoints.push(endpoint);
            shards.push(shard);
        }
        Ok((endpoints, shards))
    }

    fn shard(&self, handle: &ArbiterHandle, name: String) -> Addr<Shard> {
        let (shared, gate) = (Arc::clone(&self.shared), Arc::clone(&self.gate));
        let (totals, watched) = (Arc::clone(&self.totals), Arc::clone(&self.watched));
        let vital = self.fatal.vital(format!("shard {name}"));
        Shard::start_in_arbiter(handle, move |_| Shard::new(name, shared, gate, totals, watched, vital))
    }

    fn endpoint(&self, handle: &ArbiterHandle, name: &str, shard: Addr<Shard>) -> Addr<SipEndpoint> {
        let config = self.endpoint_config(name);
        let (transport, shared) = (self.sip.clone(), Arc::clone(&self.shared));
        let entrance = Entrance { gate: Arc::clone(&self.gate), admission: self.admission.clone() };
        let vital = self.fatal.vital(format!("SIP endpoint {name}"));
        SipEndpoint::start_in_arbiter(handle, move |ctx| {
            SipEndpoint::new(ctx.address(), config, transport, shared, entrance, shard.recipient(), vital)
        })
    }

    fn endpoint_config(&self, name: &str) -> EndpointConfig {
        let sent_by = |at: &Listen| (at.transport, at.address, self.shared.sip_host(at));
        EndpointConfig {
            timers: *self.shared.timers,
            sent_by: self.bound.iter().map(sent_by).collect(),
            max_transactions: self.shared.config.sip.max_transactions,
            server_name: "restante".to_owned(),
            ..EndpointConfig::new(name)
        }
    }
}
