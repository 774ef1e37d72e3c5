//! Services that have different nodes for a while, because the list of nodes is being changed.

use redsync::{LockError, Redsync, node::MemoryNode};

const NAME: &str = "job";

fn of(nodes: &[&MemoryNode]) -> Redsync {
    Redsync::new(nodes.iter().copied().cloned()).unwrap()
}

/// All sets of at least `least` of the nodes.
fn subsets<'a>(nodes: &[&'a MemoryNode], least: usize) -> Vec<Vec<&'a MemoryNode>> {
    let chosen = |set: u32| (0..nodes.len()).filter(move |node| set & 1 << node != 0);
    (0..1 << nodes.len())
        .map(|set| chosen(set).map(|node| nodes[node]).collect::<Vec<_>>())
        .filter(|subset| subset.len() >= least)
        .collect()
}

/// Whether a service with the new nodes can get a lock that one with the old nodes holds, in the worst case:
/// only a majority of the old nodes has the keys.
async fn may_overlap(old: &[&MemoryNode], new: &[&MemoryNode]) -> bool {
    let (old_majority, mut overlap) = (old.len() / 2 + 1, false);
    for holding in subsets(old, old_majority) {
        // The other nodes were down when the lock was acquired.
        let guard = of(&holding).mutex(NAME).lock().await.unwrap();
        match of(new).mutex(NAME).try_lock().await {
            Ok(second) => {
                overlap = true;
                second.release().await.unwrap();
            }
            Err(error) => assert!(matches!(error, LockError::Taken(_)), "{error}"),
        }
        guard.release().await.unwrap();
        old.iter().chain(new).for_each(|node| node.clear());
    }
    overlap
}

#[tokio::test]
async fn one_node_can_be_added_or_removed_at_a_time_but_not_replaced() {
    let nodes: Vec<_> = (0..8).map(|_| MemoryNode::new()).collect();
    let all: Vec<_> = nodes.iter().collect();
    for count in 1..7 {
        let (fewer, more) = (&all[..count], &all[..=count]);
        assert!(!may_overlap(fewer, more).await, "{count} and one more");
        assert!(!may_overlap(more, fewer).await, "{count} of one more");
        let replaced = &all[1..=count];
        let is_odd = count % 2 == 1;
        assert_eq!(
            may_overlap(fewer, replaced).await,
            is_odd,
            "{count}, one replaced"
        );
    }
    assert!(may_overlap(&all[..3], &all[..5]).await, "two more at once");
}
