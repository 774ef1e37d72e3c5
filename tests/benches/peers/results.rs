//! The results of all measurements.

use std::io::{self, Write};

use serde::Serialize;

use crate::{figures::Figures, implementation::Implementation, setting::Setting};

/// The subject of a measurement: an implementation under a setting.
pub(crate) type Subject = (Setting, Implementation);

/// All results, in the order in which they were first measured.
#[derive(Default)]
pub(crate) struct Results(Vec<Measured>);

/// One implementation under one setting.
pub(crate) struct Measured {
    pub(crate) setting: Setting,
    pub(crate) implementation: Implementation,
    pub(crate) rounds: Vec<Figures>,
    failures: usize,
}

impl Results {
    /// Adds a round, [`None`] if it failed.
    pub(crate) fn add(
        &mut self,
        setting: &Setting,
        implementation: Implementation,
        figures: Option<Figures>,
    ) {
        let of_this = |it: &Measured| it.setting == *setting && it.implementation == implementation;
        let index = self.0.iter().position(of_this).unwrap_or_else(|| {
            self.0.push(Measured {
                setting: *setting,
                implementation,
                rounds: Vec::new(),
                failures: 0,
            });
            self.0.len() - 1
        });
        match figures {
            Some(figures) => self.0[index].rounds.push(figures),
            None => self.0[index].failures += 1,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Measured> {
        self.0.iter()
    }

    pub(crate) fn find(
        &self,
        setting: &Setting,
        implementation: Implementation,
    ) -> Option<&Measured> {
        self.iter()
            .find(|it| it.setting == *setting && it.implementation == implementation)
    }

    pub(crate) fn failures(&self) -> usize {
        self.iter().map(|it| it.failures).sum()
    }

    pub(crate) fn write_json(&self, mut to: impl Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line {
            #[serde(flatten)]
            setting: Setting,
            implementation: Implementation,
            #[serde(flatten)]
            figures: Figures,
            rounds: usize,
        }

        for measured in self.iter() {
            let line = serde_json::to_string(&Line {
                setting: measured.setting,
                implementation: measured.implementation,
                figures: measured.figures(),
                rounds: measured.rounds.len(),
            })?;
            writeln!(to, "{line}")?;
        }
        Ok(())
    }
}

impl Measured {
    pub(crate) fn figures(&self) -> Figures {
        Figures::medians(&self.rounds)
    }
}
