//! `reconcile`: what is known of the caller's own calls.

use mcp_ext_core::{Cx, handlers};
use mcp_ext_store::Store;
use mcp_ext_values::timestamp::rfc3339;

use crate::contract::{
    CallState, IdempotencyExtension, KnownCall, ReconcileParams, Reconciled, Reconciling,
};
use crate::error::IdempotencyError;
use crate::table::{self, Found};

/// Answers `reconcile`; made by [`Idempotency::enable`](crate::Idempotency::enable).
#[derive(Clone, Debug)]
pub struct Reconciler {
    pub(crate) store: Store,
}

#[handlers]
impl Reconciling for Reconciler {
    async fn reconcile(
        &self,
        cx: &Cx<IdempotencyExtension>,
        params: ReconcileParams,
    ) -> Result<Reconciled, IdempotencyError> {
        let scope = table::scope(cx.principal());
        let key = params.idempotency_key;
        let found = self
            .store
            .read(move |db| table::calls(db, &scope, key.as_str()))
            .await
            .map_err(|_| IdempotencyError::StoreFailed)?;
        let now = self.store.clock().now_ms();
        let wanted = |call: &KnownCall| match &params.operation {
            Some(name) => call.operations.contains(name),
            None => true,
        };
        Ok(Reconciled {
            calls: found
                .iter()
                .map(|call| known(call, now))
                .filter(wanted)
                .collect(),
        })
    }
}

fn known(call: &Found, now: i64) -> KnownCall {
    let state = if call.completed() {
        CallState::Completed
    } else if call.running(now) {
        CallState::InProgress
    } else {
        CallState::Unknown
    };
    KnownCall {
        // Our own text, so it is an array of strings.
        operations: serde_json::from_str(&call.operations).unwrap_or_default(),
        state,
        first_at: rfc3339(call.first_at),
        ended_at: call.ended_at.map(rfc3339),
        kept_until: call.kept_until.filter(|until| now < *until).map(rfc3339),
    }
}
