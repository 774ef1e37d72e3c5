//! The runtimes that a [`Redsync`](crate::Redsync) was used on, for work that must not end with one
//! of them.

use std::{future::Future, thread, time::Duration};

use futures_util::future::{FutureExt, ready};
use tokio::{
    runtime::{Handle, Id, RuntimeFlavor},
    task::unconstrained,
    time::timeout,
};

use crate::sync::Mutex;

/// A runtime that does not run a task for this long stands still. A handler that blocks its thread
/// is usually done by then, and an expiry of 8 s leaves time to release the lock elsewhere.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(1);

/// The known runtimes, the one that was used last at the end. A runtime that has ended is forgotten
/// when another becomes known.
#[derive(Default)]
pub(crate) struct Runtimes(Mutex<Vec<Handle>>);

impl Runtimes {
    /// Returns the current runtime, if there is one. It is known from here on.
    pub(crate) fn current(&self) -> Option<Handle> {
        let current = Handle::try_current().ok()?;
        self.note(&current);
        Some(current)
    }

    /// Notes that a runtime is used. It is known from here on.
    pub(crate) fn note(&self, runtime: &Handle) {
        let mut known = self.0.lock();
        let is_same = |it: &Handle| it.id() == runtime.id();
        if known.last().is_some_and(is_same) {
            return;
        }
        let place = known.iter().position(is_same);
        let is_new = place.is_none();
        let handle = place.map_or_else(|| runtime.clone(), |place| known.remove(place));
        known.push(handle);
        drop(known);
        if is_new {
            self.forget_ended();
        }
    }

    /// Returns the current runtime, if it is known.
    pub(crate) fn known_current(&self) -> Option<Handle> {
        let current = Handle::try_current().ok();
        current.filter(|current| self.0.lock().iter().any(|it| it.id() == current.id()))
    }

    /// Returns a runtime that lives: the current one, or `home`, or otherwise any that is known.
    ///
    /// A current runtime that is not known may have neither timers nor sockets: services have such
    /// runtimes for long computations. So `home` is preferred to it, if that has workers, which do
    /// not stand still, or if the thread panics: the reason may be that the current runtime has no
    /// timers, and what is begun there again would panic again, for as long as it is repeated.
    pub(crate) fn living(&self, home: Option<&Handle>) -> Option<Handle> {
        let current = match home {
            Some(_) if thread::panicking() => None,
            Some(home) if has_workers(home) => self.known_current(),
            _ => Handle::try_current().ok(),
        };
        // The current runtime may be one that is being shut down and drops its tasks.
        let nearest = current.into_iter().chain(home.cloned());
        let mut nearest = nearest.filter(|runtime| !has_ended(runtime));
        (nearest.next())
            .or_else(|| self.preferred(|_| true))
            .or_else(|| {
                let current = Handle::try_current().ok();
                current.filter(|current| !has_ended(current))
            })
    }

    /// Returns a known runtime that lives and is not the given one.
    pub(crate) fn besides(&self, runtime: Id) -> Option<Handle> {
        self.preferred(|other| other.id() != runtime)
    }

    fn preferred(&self, is_allowed: impl Fn(&Handle) -> bool) -> Option<Handle> {
        let known = self.0.lock().clone();
        let living = known
            .into_iter()
            .filter(|it| is_allowed(it) && !has_ended(it));
        // One thread that blocks does not stop a runtime of several. Of equals, the last is taken.
        living.max_by_key(has_workers)
    }

    fn forget_ended(&self) {
        // Not under the lock: a runtime whose last handle is dropped may run the code of others.
        let known = self.0.lock().clone();
        let ended: Vec<_> = known.into_iter().filter(has_ended).collect();
        let is_ended = |runtime: &Handle| ended.iter().any(|it| it.id() == runtime.id());
        self.0.lock().retain(|runtime| !is_ended(runtime));
    }
}

/// Spawns a task now. Resolves when it has run, or when it is clear that the runtime stands still.
pub(crate) fn stands_still(runtime: &Handle) -> impl Future<Output = bool> + use<> {
    let sign = runtime.spawn(ready(()));
    async move { timeout(STANDSTILL, sign).await.is_err() }
}

/// Whether a runtime has several threads, or threads that come and go, to run its tasks on.
pub(crate) fn has_workers(runtime: &Handle) -> bool {
    runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
}

/// Whether a runtime has ended, or is about to: then it drops a task as soon as it is spawned.
fn has_ended(runtime: &Handle) -> bool {
    // Unconstrained: when a task has used up its budget, a task that has ended would look as if it
    // had not. A runtime that ends may drop very many tasks of ours at once, each of which asks
    // this.
    let spawned = unconstrained(runtime.spawn(ready(()))).now_or_never();
    matches!(spawned, Some(Err(_)))
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn one_thread() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn used_on<'a>(runtimes: impl IntoIterator<Item = &'a Runtime>) -> Runtimes {
        let known = Runtimes::default();
        for runtime in runtimes {
            let _entered = runtime.enter();
            known.current().unwrap();
        }
        known
    }

    #[test]
    fn a_runtime_that_has_ended_is_not_chosen() {
        for ends in [one_thread(), Runtime::new().unwrap()] {
            let (lives, home) = (one_thread(), ends.handle().clone());
            let known = used_on([&lives, &ends]);
            assert_eq!(known.living(Some(&home)).unwrap().id(), home.id());
            drop(ends);
            let chosen = known.living(Some(&home)).unwrap();
            assert_eq!(chosen.id(), lives.handle().id());
            assert!(known.besides(lives.handle().id()).is_none());
        }
    }

    #[test]
    fn a_current_runtime_that_is_not_known_is_chosen_only_without_a_home_that_has_workers() {
        let (home, unknown) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let _entered = unknown.enter();
        let known = Runtimes::default();
        let chosen = |home: &Runtime| known.living(Some(home.handle())).unwrap().id();
        assert_eq!(chosen(&home), home.handle().id());
        assert_eq!(chosen(&one_thread()), unknown.handle().id());
        known.note(unknown.handle());
        assert_eq!(chosen(&home), unknown.handle().id());
    }

    #[test]
    fn the_current_runtime_is_not_chosen_while_it_ends() {
        struct Chooses(Runtimes, std::sync::mpsc::Sender<Option<Id>>);

        impl Drop for Chooses {
            fn drop(&mut self) {
                assert!(Handle::try_current().is_ok());
                let chosen = self.0.living(None).map(|it| it.id());
                self.1.send(chosen).unwrap();
            }
        }

        for ends in [one_thread(), Runtime::new().unwrap()] {
            let lives = one_thread();
            let (sender, chosen) = std::sync::mpsc::channel();
            let chooses = Chooses(used_on([&lives, &ends]), sender);
            ends.spawn(async move {
                let _chooses = chooses;
                std::future::pending::<()>().await;
            });
            drop(ends);
            assert_eq!(chosen.recv().unwrap(), Some(lives.handle().id()));
        }
    }

    #[test]
    fn a_runtime_that_has_ended_is_recognized_however_often_a_task_asks() {
        for ends in [one_thread(), Runtime::new().unwrap()] {
            let ended = ends.handle().clone();
            drop(ends);
            one_thread().block_on(async {
                assert!((0..1_000).all(|_| has_ended(&ended)));
            });
        }
    }

    #[test]
    fn a_runtime_with_workers_is_preferred_to_one_that_was_used_later() {
        let (workers, first, last) = (Runtime::new().unwrap(), one_thread(), one_thread());
        let known = used_on([&first, &workers, &last]);
        let besides = |runtime: &Runtime| known.besides(runtime.handle().id()).unwrap().id();
        assert_eq!(besides(&last), workers.handle().id());
        assert_eq!(besides(&workers), last.handle().id());
    }

    #[test]
    fn runtimes_that_have_ended_are_forgotten() {
        let lives = one_thread();
        let known = used_on([&lives]);
        for _ in 0..10 {
            let ends = one_thread();
            let _entered = ends.enter();
            known.current().unwrap();
        }
        assert!(
            known.0.lock().len() <= 2,
            "the last one and the one that lives"
        );
    }
}
