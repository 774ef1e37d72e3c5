use futures_util::future::{FutureExt, poll_immediate};

use super::*;

const TIME: Duration = Duration::from_millis(400);

/// Takes all free places.
fn fill(gate: &Gate) -> Vec<Pass> {
    std::iter::from_fn(|| gate.try_pass()).collect()
}

#[tokio::test]
async fn attempts_at_the_gate_pass_in_order_when_a_place_is_free() {
    let gate = Gate::new();
    let mut passes = fill(&gate);
    let limit = Instant::now() + Duration::from_secs(60);
    let (mut first, mut second) = (
        gate.pass_by(limit, TIME).boxed(),
        gate.pass_by(limit, TIME).boxed(),
    );
    assert!(poll_immediate(&mut first).await.is_none());
    assert!(poll_immediate(&mut second).await.is_none());
    passes.pop();
    assert!(poll_immediate(&mut second).await.is_none());
    // No newcomer passes before the waiting ones.
    assert!(gate.try_pass().is_none());
    assert!(poll_immediate(&mut first).await.flatten().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_wait_at_the_gate_has_a_limit() {
    let gate = Gate::new();
    let passes = fill(&gate);
    let limit = Instant::now() + TIME;
    assert!(gate.pass_by(limit, TIME).await.is_none());
    assert_eq!(Instant::now(), limit);
    drop(passes);
    assert!(gate.pass_by(limit, TIME).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn places_that_nobody_gives_back_are_replaced() {
    let gate = Gate::new();
    let kept = fill(&gate);
    let (start, limit) = (Instant::now(), Instant::now() + 100 * TIME);
    let pass = gate.pass_by(limit, TIME).await.unwrap();
    assert_eq!(start.elapsed(), ROUNDS * TIME);
    let others = fill(&gate);
    assert_eq!(1 + others.len(), kept.len());
    drop(kept);
    assert!(gate.try_pass().is_none());
    let all = 1 + others.len();
    drop((pass, others));
    assert_eq!(fill(&gate).len(), all);
}

#[tokio::test(start_paused = true)]
async fn places_whose_attempts_go_on_are_not_replaced() {
    let gate = Gate::new();
    let mut passes = fill(&gate);
    let limit = Instant::now() + 100 * TIME;
    let mut waits = gate.pass_by(limit, TIME).boxed();
    for _ in 0..10 {
        assert!(tokio::time::timeout(TIME, &mut waits).await.is_err());
        passes[0].answered(TIME);
    }
    drop(passes);
    assert!(waits.await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_answered_in_time_does_not_pass() {
    let gate = Gate::new();
    let (wait, answers) = (TIME * 3 / 2, TIME / 4);
    for _ in 0..100 {
        let mut pass = gate.try_pass().unwrap();
        tokio::time::advance(answers).await;
        pass.answered(TIME);
    }
    let passes = fill(&gate);
    let deadline = Instant::now() + wait;
    assert!(gate.pass_in_time(deadline, TIME).await.is_none());
    let left = deadline - Instant::now();
    assert!(answers - answers / 20 < left && left <= answers, "{left:?}");
    // A place that becomes free in time is used.
    let deadline = Instant::now() + wait;
    let (pass, ()) = tokio::join!(gate.pass_in_time(deadline, TIME), async {
        tokio::time::sleep(wait / 2).await;
        drop(passes);
    });
    assert!(pass.is_some());
}

#[tokio::test(start_paused = true)]
async fn places_open_while_answers_are_quick_and_close_while_they_are_late() {
    let gate = Gate::new();
    let mut passes = fill(&gate);
    let at_first = passes.len();
    // Each place that is free is taken at once.
    let round = async |passes: Vec<Pass>, takes| {
        tokio::time::advance(takes).await;
        let next = passes.into_iter().flat_map(|mut pass| {
            pass.answered(TIME);
            drop(pass);
            fill(&gate)
        });
        next.collect::<Vec<_>>()
    };
    for _ in 0..20 {
        passes = round(passes, TIME / 100).await;
    }
    assert!(passes.len() > 4 * at_first, "{}", passes.len());
    for _ in 0..20 {
        passes = round(passes, TIME).await;
    }
    assert_eq!(passes.len(), at_first);
}
