use super::*;
use crate::{Mode, common::Common, node::MemoryNode, quorum::tally::Verdict};

fn lease(common: &Common, mode: Mode, repeated: bool) -> Arc<Lease> {
    let value = OwnerValue::random("").expect("a value");
    Lease::new(common.site(), &request(mode), 0, value, repeated)
}

fn request(mode: Mode) -> Request {
    let mut options = Options::default();
    options.kind.mode = mode;
    Request::new(&["a".into()].into(), &Arc::new(options)).expect("a request")
}

fn on_a_node() -> Arc<Common> {
    Common::new([MemoryNode::new().into()]).expect("a node")
}

#[tokio::test(start_paused = true)]
async fn shared_holders_enter_again_when_a_reservation_is_withdrawn() {
    let common = on_a_node();
    let reader = || lease(&common, Mode::Shared, true).acquire();
    assert_eq!(reader().await, Verdict::Granted);
    let writer = lease(&common, Mode::Exclusive, true);
    assert_eq!(writer.acquire().await, Verdict::Refused);
    assert!(writer.lanes().are_reserved());
    assert_eq!(reader().await, Verdict::Refused);
    Lease::withdraw(common.site(), &request(Mode::Exclusive));
    common.services.background.drain(|| async {}).await;
    assert_eq!(reader().await, Verdict::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_ends_with_an_attempt_that_is_given_up_and_not_with_one_that_has_failed() {
    for (is_given_up, then) in [(true, Verdict::Granted), (false, Verdict::Refused)] {
        let common = on_a_node();
        let reader = || lease(&common, Mode::Shared, true).acquire();
        assert_eq!(reader().await, Verdict::Granted);
        let writer = lease(&common, Mode::Exclusive, true);
        assert_eq!(writer.acquire().await, Verdict::Refused);
        let release = if is_given_up {
            writer.give_up()
        } else {
            writer.release()
        };
        assert_eq!(release.await, Verdict::Refused);
        assert_eq!(reader().await, then);
    }
}

#[tokio::test(start_paused = true)]
async fn only_shared_holders_are_kept_out_by_a_reservation_of_an_attempt_that_is_repeated() {
    for (holder, repeated) in [(Mode::Shared, false), (Mode::Exclusive, true)] {
        let common = on_a_node();
        let held = lease(&common, holder, true).acquire();
        assert_eq!(held.await, Verdict::Granted);
        let writer = lease(&common, Mode::Exclusive, repeated);
        assert_eq!(writer.acquire().await, Verdict::Refused);
        assert!(!writer.lanes().are_reserved());
    }
}
