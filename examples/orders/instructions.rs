//! What the program prints for the person who has started it.

use std::time::Duration;

use crate::nodes::Nodes;

/// The URL of the page, and commands for a terminal.
pub(crate) fn instructions(url: &str, nodes: &Nodes, wait: Duration) -> String {
    let nodes = nodes.addresses().join(", ");
    let hammer = |path: &str| {
        format!(
            "curl -sZ --no-progress-meter --parallel-immediate --parallel-max 200 -o /dev/null -w '%{{http_code}}\\n' \\
    --json '{{\"quantity\": 1}}' '{url}{path}?work_ms=2&n=[1-200]' | sort | uniq -c"
        )
    };
    format!(
        "
Orders are served on {url}, locked on {nodes}.
Open it in a browser: its buttons send requests with the lock and without, and it shows what becomes of them.

In a terminal, a request waits for its order for up to {wait:?}.
Two hundred requests for one order at once, then the order itself. No update is lost:

  {locked}
  curl -s {url}/orders/42; echo

The same without the lock. Some updates are lost:

  {unlocked}
  curl -s {url}/orders/43; echo

A request that works for 20 s, and a second one for the same order:

  curl -s --json '{{\"quantity\": 1}}' '{url}/orders/44/items?work_ms=20000' &
  curl -si --json '{{\"quantity\": 1}}' '{url}/orders/44/items'

",
        locked = hammer("/orders/42/items"),
        unlocked = hammer("/unlocked/orders/43/items"),
    )
}
