//! The values of labels, as enums, and one handle for each of them.

use std::{marker::PhantomData, sync::OnceLock};

use crate::{LockError, NodeError, node::Operation};

/// Declares the values of a label: an enum with their texts.
macro_rules! label {
    (
        $(#[$attribute:meta])*
        enum $Label:ident {
            $($(#[$variant_attribute:meta])* $Variant:ident => $text:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        pub(super) enum $Label {
            $($(#[$variant_attribute])* $Variant,)+
        }

        impl Label for $Label {
            const ALL: &[Self] = &[$(Self::$Variant),+];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$Variant => $text,)+
                }
            }
        }
    };
}

label! {
    /// How a call that locks has ended.
    enum Outcome {
        Acquired => "acquired",
        Taken => "taken",
        TimedOut => "timed_out",
        Unavailable => "unavailable",
        TooLate => "too_late",
        NotALock => "not_a_lock",
        TooManyWaiting => "too_many_waiting",
        Misconfigured => "misconfigured",
        Dropped => "dropped",
    }
}

label! {
    /// A command to a node.
    enum Command {
        Identity => "identity",
        Acquire => "acquire",
        Raise => "raise",
        Extend => "extend",
        Release => "release",
        Inspect => "inspect",
    }
}

label! {
    /// Why a command has failed.
    enum Failure {
        TimedOut => "timed_out",
        Unreachable => "unreachable",
        Disconnected => "disconnected",
        Refused => "refused",
        SameServer => "same_server",
        CannotRelease => "cannot_release",
        Overloaded => "overloaded",
        NotSent => "not_sent",
        Unexpected => "unexpected",
        /// Nobody waited for the answer any longer.
        Unanswered => "unanswered",
    }
}

/// A value of a label.
pub(super) trait Label: Copy + 'static {
    /// All values.
    const ALL: &[Self];

    /// The place of the value in [`ALL`](Self::ALL), and of its handle in [`Handles`].
    fn index(self) -> usize;

    /// The value as it is recorded.
    fn text(self) -> &'static str;
}

impl<T> From<&Result<T, LockError>> for Outcome {
    fn from(result: &Result<T, LockError>) -> Self {
        match result {
            Ok(_) => Self::Acquired,
            Err(LockError::Taken(_)) => Self::Taken,
            Err(LockError::TimedOut(_)) => Self::TimedOut,
            Err(LockError::Unavailable(_)) => Self::Unavailable,
            Err(LockError::TooLate(_)) => Self::TooLate,
            Err(LockError::NotALock(_)) => Self::NotALock,
            Err(LockError::TooManyWaiting { .. }) => Self::TooManyWaiting,
            Err(LockError::Config(_) | LockError::Value(_) | LockError::NotHeld(_)) => {
                Self::Misconfigured
            }
        }
    }
}

impl From<Operation> for Command {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Acquire => Self::Acquire,
            Operation::Raise => Self::Raise,
            Operation::Extend | Operation::Heal => Self::Extend,
            Operation::Release => Self::Release,
        }
    }
}

impl From<&NodeError> for Failure {
    fn from(error: &NodeError) -> Self {
        match error {
            NodeError::TimedOut => Self::TimedOut,
            NodeError::Unreachable(_) => Self::Unreachable,
            NodeError::Disconnected(_) => Self::Disconnected,
            NodeError::Refused { .. } => Self::Refused,
            NodeError::SameServer { .. } => Self::SameServer,
            NodeError::CannotRelease { .. } => Self::CannotRelease,
            NodeError::Overloaded => Self::Overloaded,
            NodeError::NotSent => Self::NotSent,
            NodeError::Unexpected(_) => Self::Unexpected,
        }
    }
}

/// A handle for each value of a label. Each is made when it is first needed, or all at once.
pub(super) struct Handles<L, H> {
    made: Box<[OnceLock<H>]>,
    label: PhantomData<L>,
}

impl<L: Label, H> Handles<L, H> {
    /// Makes all handles, from the values as they are recorded.
    pub(super) fn all(make: impl Fn(&'static str) -> H) -> Self {
        Self {
            made: (L::ALL.iter())
                .map(|value| OnceLock::from(make(value.text())))
                .collect(),
            label: PhantomData,
        }
    }

    /// The handle for a value. `make` makes it the first time, from the value as it is recorded.
    pub(super) fn get_or_make(&self, label: L, make: impl FnOnce(&'static str) -> H) -> &H {
        self.made[label.index()].get_or_init(|| make(label.text()))
    }
}

impl<L: Label, H> Default for Handles<L, H> {
    fn default() -> Self {
        Self {
            made: L::ALL.iter().map(|_| OnceLock::new()).collect(),
            label: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words in backticks in the row of the docs that lists the values of a label.
    fn documented(label: &str) -> BTreeSet<&'static str> {
        let docs = include_str!("../../docs/metrics.md");
        let start = format!("| `{label}` | ");
        let mut row = docs.lines().filter_map(|line| line.strip_prefix(&start));
        let row = row.next().expect("a row of the table");
        row.split('`').skip(1).step_by(2).collect()
    }

    fn recorded<L: Label>() -> BTreeSet<&'static str> {
        L::ALL.iter().map(|value| value.text()).collect()
    }

    #[test]
    fn the_docs_list_the_values_of_each_label() {
        assert_eq!(recorded::<Outcome>(), documented("outcome"));
        assert_eq!(recorded::<Command>(), documented("operation"));
        let mut kinds = documented("kind");
        kinds.remove("NodeError");
        assert_eq!(recorded::<Failure>(), kinds);
    }

    #[test]
    fn each_value_has_a_handle_of_its_own() {
        let handles = Handles::<Outcome, &str>::default();
        for outcome in Outcome::ALL {
            let text = handles.get_or_make(*outcome, |text| text);
            assert_eq!(*text, outcome.text());
        }
    }
}
