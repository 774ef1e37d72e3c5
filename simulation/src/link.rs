//! The way from a process to a server, on which messages are late or get lost.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::{Future, pending},
    io,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::{Either, select};
use redsync::{
    FencingToken, NodeError,
    node::{AcquireVote, Entry, ExtendVote, Holders, Node, RaiseVote, ReleaseVote, WakeUp},
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep, timeout},
};

use super::{
    Flaw, Setting, WakeUps,
    chance::{ms, whole},
    condition::Condition,
    server::{Illness, Server, State},
    setting::{EXPIRY, LATEST, NODE_TIMEOUT},
};

/// For how long a message that was lost without a sign counts as a fault: what is sent for the same
/// lease waits behind it.
const LOST_FOR: Duration = ms(1000);

/// How bad the network is.
#[derive(Clone, Debug, Default)]
pub(super) struct Severity(Arc<AtomicU8>);

impl Severity {
    /// Sets how many messages of a hundred have a fault.
    pub(super) fn set(&self, percent: u8) {
        self.0.store(percent, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// That nothing gets through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Messages wait until the cut is over. Otherwise connections break at once.
    pub(super) is_silent: bool,
    /// Connections have broken when the cut is over.
    pub(super) breaks: bool,
}

/// What the links of a process share.
pub(super) struct Sender {
    pub(super) lives: AtomicBool,
    given_up: Mutex<HashSet<String>>,
    /// When extensions were sent that a node has answered, by node and owner value.
    extended: Mutex<HashMap<String, Instant>>,
    late: Mutex<HashMap<String, LateAnswers>>,
}

/// The answers to acquisitions that are outstanding, in the order of the questions.
type LateAnswers = VecDeque<JoinHandle<Result<AcquireVote, NodeError>>>;

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            lives: AtomicBool::new(true),
            given_up: Mutex::default(),
            extended: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// Changes the answers that are outstanding of a server, for these names.
    fn late<T>(&self, of: &str, change: impl FnOnce(&mut LateAnswers) -> T) -> T {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        change(late.entry(of.to_owned()).or_default())
    }

    fn extended(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.extended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given_up(&self) -> MutexGuard<'_, HashSet<String>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node, as one process sees it.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) server: Arc<Server>,
    sender: Arc<Sender>,
    wire: Arc<Wire>,
}

pub(super) struct Wire {
    rng: Mutex<Rng>,
    /// How long a message takes, in milliseconds.
    latency: u64,
    severity: Severity,
    wake_ups: WakeUps,
    pub(super) cut: Condition<Option<Cut>>,
}

impl Wire {
    /// The wire of a process that is near to the nodes, or far away.
    pub(super) fn new(mut rng: Rng, severity: &Severity, setting: &Setting, is_far: bool) -> Self {
        let latency = match setting.flaw {
            // Holders overlap for about as long as a message takes.
            Some(Flaw::ValidityFromTheReply) if is_far => rng.u64(30..50),
            // Those who are much farther away than others get the lock too rarely to bound their
            // waits.
            _ if is_far => rng.u64(5..12),
            _ => rng.u64(0..4).saturating_sub(1),
        };
        Self {
            latency,
            rng: Mutex::new(rng),
            severity: severity.clone(),
            wake_ups: setting.wake_ups,
            cut: Condition::new(None),
        }
    }

    fn rng(&self) -> MutexGuard<'_, Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trip(&self) -> Trip {
        let rng = &mut *self.rng();
        let usual = |rng: &mut Rng| {
            let jitter = if rng.u8(..8) == 0 { rng.u64(0..4) } else { 0 };
            Way::After(ms(self.latency + jitter))
        };
        let (there, back) = (usual(rng), usual(rng));
        if rng.u8(..100) >= self.severity.get() {
            return Trip {
                there,
                back,
                is_fault: false,
            };
        }
        let fault = match rng.u8(..6) {
            0 => Way::Lost,
            1 => Way::Breaks(whole(rng, 0, 50)),
            _ => Way::After(whole(rng, 20, LATEST)),
        };
        let (there, back) = if rng.bool() {
            (fault, back)
        } else {
            (there, fault)
        };
        Trip {
            there,
            back,
            is_fault: true,
        }
    }

    /// Resolves when a message has got through.
    async fn pass(&self) -> Result<(), Broken> {
        let Some(cut) = self.cut.get() else {
            return Ok(());
        };
        if cut.is_silent {
            self.cut.until(|cut| cut.is_none()).await;
        }
        if cut.breaks { Err(Broken) } else { Ok(()) }
    }

    /// Resolves when a cut breaks the connections at once.
    async fn broken(&self) {
        let breaks = |cut: Option<Cut>| cut.is_some_and(|cut| !cut.is_silent);
        self.cut.until(breaks).await;
    }
}

/// What happens to a request and its reply.
struct Trip {
    there: Way,
    back: Way,
    is_fault: bool,
}

enum Way {
    After(Duration),
    Lost,
    Breaks(Duration),
}

impl Trip {
    const fn is_direct(&self) -> bool {
        matches!((&self.there, &self.back), (Way::After(there), Way::After(back))
            if there.is_zero() && back.is_zero())
    }

    const fn is_lost(&self) -> bool {
        matches!(self.there, Way::Lost) || matches!(self.back, Way::Lost)
    }

    /// How long both ways take.
    fn time(&self) -> Duration {
        let time = |way: &Way| match way {
            Way::After(time) | Way::Breaks(time) => *time,
            Way::Lost => Duration::ZERO,
        };
        time(&self.there) + time(&self.back)
    }
}

struct Broken;

impl From<Broken> for NodeError {
    fn from(_: Broken) -> Self {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        Self::Disconnected(Arc::new(reset))
    }
}

impl Way {
    /// [`None`] if the message gets lost without a sign.
    async fn pass(self, wire: &Wire) -> Option<Result<(), Broken>> {
        match self {
            Self::After(time) => {
                if !time.is_zero() {
                    sleep(time).await;
                }
                Some(wire.pass().await)
            }
            Self::Breaks(time) => {
                sleep(time).await;
                Some(Err(Broken))
            }
            Self::Lost => None,
        }
    }
}

impl Link {
    pub(super) const fn new(server: Arc<Server>, sender: Arc<Sender>, wire: Arc<Wire>) -> Self {
        Self {
            server,
            sender,
            wire,
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.server.is(flaw)
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Server) -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        self.travel(self.wire.trip(), question).await
    }

    async fn travel<T: Send + 'static>(
        &self,
        trip: Trip,
        question: impl FnOnce(&Server) -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        if !self.sender.lives.load(Ordering::Relaxed) {
            return pending().await;
        }
        let running = self.server.running.get();
        if running.state == State::Down {
            yield_now().await;
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Err(NodeError::unreachable(refused));
        }
        let is_open = self.wire.cut.get().is_none();
        if trip.is_direct() && running.state == State::Runs && is_open {
            return Ok(question(&self.server));
        }
        let (answer, answered) = oneshot::channel();
        let (server, wire) = (Arc::clone(&self.server), Arc::clone(&self.wire));
        // It reaches the server even if nobody waits for the answer any longer.
        tokio::spawn(async move {
            let illness = trip.is_fault.then(|| Illness::of(&server));
            match journey(trip, &server, &wire, running.starts, question).await {
                Some(result) => drop(answer.send(result)),
                None => {
                    if let Some(illness) = illness {
                        illness.last(LOST_FOR).await;
                    }
                }
            }
        });
        match answered.await {
            Ok(result) => result,
            Err(_) => pending().await,
        }
    }

    /// The entry as the server receives it.
    fn sent(&self, entry: &Entry, trip: &Trip) -> Entry {
        let mut entry = entry.clone();
        if self.is(Flaw::ValidityFromTheReply) {
            let least = ms(1);
            entry.expiry = entry.expiry.saturating_sub(trip.time()).max(least);
        }
        if self.is(Flaw::OneValueForAllAttempts)
            && let Some(label) = entry.value.label()
        {
            entry.value = format!("{label}#{:032x}", 0).into();
        }
        entry
    }

    async fn ask_about<T: Send + 'static>(
        &self,
        entry: &Entry,
        question: impl FnOnce(&Server, &Entry) -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        let trip = self.wire.trip();
        let sent = self.sent(entry, &trip);
        self.travel(trip, move |server| question(server, &sent))
            .await
    }

    /// Acquires, and returns the oldest answer that is outstanding, which may be that to an earlier
    /// question.
    async fn oldest_answer(
        &self,
        entry: &Entry,
        trip: Trip,
        sent: Entry,
    ) -> Result<AcquireVote, NodeError> {
        let link = self.clone();
        let answer = tokio::spawn(async move {
            let travel = link.travel(trip, move |server| server.acquire(&sent));
            travel.await
        });
        let of = format!("{} {}", self.server.address(), entry.names.join(" "));
        let oldest = self.sender.late(&of, |late| {
            late.push_back(answer);
            late.pop_front()
        });
        let mut oldest = oldest.expect("at least the last one");
        if let Ok(answer) = timeout(NODE_TIMEOUT, &mut oldest).await {
            return answer.expect("no panic");
        }
        self.sender.late(&of, |late| late.push_front(oldest));
        Err(NodeError::TimedOut)
    }

    /// What a node reports to a process that watches it.
    async fn report<T>(
        &self,
        names: &[Arc<str>],
        seen: impl Future<Output = T>,
    ) -> Result<T, NodeError> {
        if self.wire.wake_ups == WakeUps::Missing {
            return Err(NodeError::NotSent);
        }
        if !self.sender.lives.load(Ordering::Relaxed) {
            return pending().await;
        }
        let running = self.server.running.get();
        if running.state == State::Down {
            yield_now().await;
            return Err(Broken.into());
        }
        let is_lost = match self.wire.wake_ups {
            WakeUps::Lossy => self.wire.rng().u8(..20) == 0,
            _ => self.is(Flaw::UntakenPermit) && names.iter().any(|name| name.contains("permit")),
        };
        let report = async {
            let seen = seen.await;
            if is_lost || self.is(Flaw::LostWakeUps) {
                return pending().await;
            }
            if let Way::After(time) = self.wire.trip().back
                && !time.is_zero()
            {
                sleep(time).await;
            }
            if !self.server.served(running.starts).await {
                return Err(Broken);
            }
            self.wire.pass().await.map(|()| seen)
        };
        let broken = async {
            let (ended, broken) = (self.server.ended(running.starts), self.wire.broken());
            select(pin!(ended), pin!(broken)).await;
        };
        match select(pin!(report), pin!(broken)).await {
            Either::Left((report, _)) => report.map_err(Into::into),
            Either::Right(_) => Err(Broken.into()),
        }
    }
}

/// [`None`] if there is no answer.
async fn journey<T>(
    trip: Trip,
    server: &Server,
    wire: &Wire,
    starts: u32,
    question: impl FnOnce(&Server) -> T,
) -> Option<Result<T, NodeError>> {
    if let Err(broken) = trip.there.pass(wire).await? {
        return Some(Err(broken.into()));
    }
    if !server.served(starts).await {
        return Some(Err(Broken.into()));
    }
    let answer = question(server);
    if let Err(broken) = trip.back.pass(wire).await? {
        return Some(Err(broken.into()));
    }
    let running = server.running.get();
    let is_connected = running.state != State::Down && running.starts == starts;
    Some(is_connected.then_some(answer).ok_or_else(|| Broken.into()))
}

impl Node for Link {
    fn address(&self) -> &str {
        self.server.address()
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        let trip = self.wire.trip();
        let sent = self.sent(entry, &trip);
        let is_late = matches!(trip.there, Way::After(time) if !time.is_zero());
        if self.is(Flaw::AnswerOfAnotherRound) && !trip.is_lost() {
            return self.oldest_answer(entry, trip, sent).await;
        }
        let travel = self.travel(trip, move |server| server.acquire(&sent));
        if self.is(Flaw::ReleaseAhead) && is_late {
            // It is on its way.
            let _ = timeout(Duration::ZERO, travel).await;
            return Err(Broken.into());
        }
        travel.await
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        self.ask_about(entry, move |server, entry| server.raise(entry, token))
            .await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        let ask = self.ask_about(entry, move |server, entry| {
            server.extend(entry, token, set_if_absent)
        });
        if self.is(Flaw::UnclearExtension) {
            let answer = timeout(NODE_TIMEOUT, ask).await.ok();
            return Ok(answer.and_then(Result::ok).unwrap_or(ExtendVote::Extended));
        }
        if self.is(Flaw::MergedExtensions) {
            let of = format!("{} {}", self.server.address(), entry.value.as_str());
            let sent = Instant::now();
            let answer = timeout(NODE_TIMEOUT, ask)
                .await
                .unwrap_or(Err(NodeError::TimedOut));
            let mut extended = self.sender.extended();
            if matches!(answer, Ok(ExtendVote::Extended)) {
                extended.insert(of, sent);
            } else if answer.is_err()
                && let Some(before) = extended.get(&of)
                && before.elapsed() < EXPIRY
            {
                return Ok(ExtendVote::Extended);
            }
            return answer;
        }
        if self.is(Flaw::KeepAliveGivesUp) {
            let value = entry.value.as_str();
            if self.sender.given_up().contains(value) {
                return Err(NodeError::NotSent);
            }
            let answer = timeout(NODE_TIMEOUT, ask)
                .await
                .unwrap_or(Err(NodeError::TimedOut));
            if answer.is_err() {
                self.sender.given_up().insert(value.to_owned());
            }
            return answer;
        }
        ask.await
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.release_after(entry, Duration::ZERO).await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        self.ask_about(entry, move |server, entry| server.release(entry, time))
            .await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        let name = name.to_owned();
        self.ask(move |server| server.inspect(&name)).await
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        self.report(names, self.server.watch(names)).await
    }

    async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        self.report(names, self.server.watch_acquired(names)).await
    }
}
