//! Commands that are put together argument by argument: for redis-rs, or for any driver.

/// A command to which arguments can be added.
pub(super) trait Arguments {
    fn arg(&mut self, bytes: &[u8]);

    /// Adds a number in decimal digits.
    fn number(&mut self, mut number: u64) {
        // Written by hand, because every lock needs it and the formatting machinery costs more than
        // sending.
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.arg(&digits[first..]);
    }
}

#[cfg(feature = "_redis")]
impl Arguments for redis::Cmd {
    fn arg(&mut self, bytes: &[u8]) {
        Self::arg(self, bytes);
    }
}

/// A command in the form in which drivers take it.
#[derive(Default)]
pub(super) struct Command {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Command {
    pub(super) fn args(&self) -> Vec<&[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied();
        starts
            .zip(ends)
            .map(|(start, end)| &self.bytes[start..end])
            .collect()
    }
}

impl Arguments for Command {
    fn arg(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_apart() {
        let mut command = Command::default();
        command.arg(b"SET");
        command.arg(b"");
        command.number(u64::MAX);
        command.number(0);
        let expected: [&[u8]; 4] = [b"SET", b"", b"18446744073709551615", b"0"];
        assert_eq!(command.args(), expected);
    }
}
