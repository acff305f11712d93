//! PagerDepositing: a pager message on its way into the store, and the answer to whoever sent it.
//!
//! Each is a task of its own on the shard's core: as futures of the shard's own context, all that wait
//! would be polled whenever one of them is done. There are no more of them than the store's queue holds.

use restante::focus::rejection::Rejection;
use restante::machine::sip::ServerTxn;
use restante::store::{Deposited, StoreError};
use restante::wire::sip::{Response, StatusCode};

use crate::ports::{Respond, ToEndpoint};
use crate::refusals::{self, store_failed};
use crate::seldom::seldom;

/// Who waits for the store.
pub struct PagerDepositing {
    /// The shard's endpoint.
    pub endpoint: ToEndpoint,
    /// The transaction of the MESSAGE.
    pub txn: ServerTxn,
    /// The 202, which leaves when the message is durable.
    pub accepted: Response,
    /// Whom a Warning names.
    pub agent: String,
}

impl PagerDepositing {
    /// Waits for the store and answers.
    pub async fn answer(self, storing: impl Future<Output = Result<Deposited, StoreError>>) {
        let stored = storing.await;
        let call_id = self.accepted.headers.call_id_text();
        let rejection = match stored {
            Ok(Deposited { message_id, repeated, .. }) => {
                count(if repeated { "repeated" } else { "stored" });
                tracing::debug!(%call_id, ?message_id, repeated, "deposited");
                None
            }
            Err(error) => {
                let rejection = refusals::of_store(&error, &self.agent);
                if rejection.status == StatusCode::SERVICE_UNAVAILABLE {
                    count("failed");
                    store_failed!(&error, %call_id, %error, "deposit refused: the store failed");
                } else {
                    count("refused");
                    seldom!(info, %call_id, %error, status = rejection.status.0, "deposit refused");
                }
                Some(rejection)
            }
        };
        let mut response = self.accepted;
        if let Some(rejection) = rejection {
            restamp(&mut response, &rejection);
        }
        refusals::count(response.status);
        self.endpoint.do_send(Respond { txn: self.txn, response: Box::new(response) });
    }
}

/// Counts a deposit.
fn count(outcome: &'static str) {
    metrics::counter!("restante_deposits_total", "outcome" => outcome).increment(1);
}

/// Turns the prepared 202 into the refusal: same headers, another status.
fn restamp(response: &mut Response, rejection: &Rejection) {
    response.status = rejection.status;
    response.reason = rejection.status.reason().into();
    rejection.add_headers(&mut response.headers);
}
