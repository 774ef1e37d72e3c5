//! A transfer, under the lock of both of its accounts.

use std::time::Duration;

use redsync_tower::redsync::Redsync;
use serde::Deserialize;
use tokio::time::sleep;

use crate::{
    error::Error,
    store::{Balances, Store},
};

#[derive(Clone)]
pub(crate) struct Bank {
    store: Store,
    redsync: Redsync,
    /// How long a transfer waits for its accounts.
    wait: Duration,
}

#[derive(Deserialize)]
pub(crate) struct Transfer {
    from: String,
    to: String,
    amount: u32,
}

impl Bank {
    pub(crate) const fn new(store: Store, redsync: Redsync, wait: Duration) -> Self {
        Self {
            store,
            redsync,
            wait,
        }
    }

    /// Moves the amount, and returns the new balances of both accounts.
    pub(crate) async fn transfer(
        &self,
        Transfer { from, to, amount }: Transfer,
        check_ms: u64,
    ) -> Result<Balances, Error> {
        if from == to {
            return Err(Error::BadRequest("both accounts are the same"));
        }
        // An account that does not exist has no lock, so clients cannot make up names.
        let existing = self.store.balances().await?;
        if !existing.contains_key(&from) || !existing.contains_key(&to) {
            return Err(Error::NoAccount);
        }

        let names = [&from, &to].map(|account| format!("account:{account}"));
        let mutex = self.redsync.mutex_many(names).with_fencing(true);
        let mut guard = mutex.lock_within(self.wait).await?;
        guard.keep_alive();
        let token = guard.fencing_token().expect("the mutex has fencing on");

        let mut balances = self.store.begin([from.clone(), to.clone()], token).await?;
        tokio::select! {
            // First, so that a process that was paused stops here.
            biased;
            () = guard.lost() => return Err(Error::Lost),
            () = check(check_ms) => {}
        }
        tracing::debug!("checked: {amount} from {from} to {to}");
        let amount = i64::from(amount);
        if balances[&from] < amount {
            return Err(Error::TooLittle);
        }
        balances
            .entry(from)
            .and_modify(|balance| *balance -= amount);
        balances.entry(to).and_modify(|balance| *balance += amount);
        self.store.finish(balances.clone(), token).await?;

        // The transfer is made, even if too few nodes confirm this.
        if let Err(error) = guard.release().await {
            tracing::warn!("{error}");
        }
        Ok(balances)
    }

    pub(crate) async fn balances(&self) -> Result<Balances, Error> {
        self.store.balances().await
    }
}

/// Stands for a check for fraud, by another service.
async fn check(check_ms: u64) {
    sleep(Duration::from_millis(check_ms)).await;
}
