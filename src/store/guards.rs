//! The conditions of batches, checked in commit order under the committer.

use std::collections::HashMap;

use crate::{
    StoreError,
    batch::{Guard, Operation},
    engine::{Engine, Tier},
    tables::Family,
};

/// The engine's rows as they will be once the accepted batches of the group are written.
pub(crate) struct Written<'a> {
    engine: &'a Engine,
    /// Row → when it was last written in this group, and to what.
    rows: HashMap<(Family, Vec<u8>), (usize, Option<Vec<u8>>)>,
    /// Ranges deleted in this group, and when.
    deleted: Vec<(usize, Family, Vec<u8>, Vec<u8>)>,
    time: usize,
}

impl<'a> Written<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            rows: HashMap::new(),
            deleted: Vec::new(),
            time: 0,
        }
    }

    /// Adds an accepted batch.
    pub(crate) fn add(&mut self, operations: &[Operation]) {
        for operation in operations {
            self.time += 1;
            match operation {
                Operation::Put { family, key, value } => {
                    self.rows.insert(
                        (*family, key.bytes.clone()),
                        (self.time, Some(value.bytes.clone())),
                    );
                }
                Operation::Delete { family, key } => {
                    self.rows
                        .insert((*family, key.bytes.clone()), (self.time, None));
                }
                Operation::DeleteRange { family, from, to } => {
                    self.deleted
                        .push((self.time, *family, from.clone(), to.clone()));
                }
            }
        }
    }

    /// Whether all guards hold.
    pub(crate) fn check(&self, guards: &[Guard]) -> Result<(), StoreError> {
        for guard in guards {
            let holds = match guard {
                Guard::Absent { family, key } => self.compare(*family, key, |row| row.is_none())?,
                Guard::Equals { family, key, value } => {
                    self.compare(*family, key, |row| row == Some(value))?
                }
            };
            if !holds {
                return Err(StoreError::Guard);
            }
        }
        Ok(())
    }

    fn compare(
        &self,
        family: Family,
        key: &[u8],
        test: impl Fn(Option<&[u8]>) -> bool,
    ) -> Result<bool, StoreError> {
        let row = self.rows.get(&(family, key.to_vec()));
        let written = row.map_or(0, |(time, _)| *time);
        let covers = |(time, of, from, to): &(usize, Family, Vec<u8>, Vec<u8>)| {
            *time > written && *of == family && from.as_slice() <= key && key < to.as_slice()
        };
        if self.deleted.iter().any(covers) {
            return Ok(test(None));
        }
        if let Some((_, value)) = row {
            return Ok(test(value.as_deref()));
        }
        let stored = self
            .engine
            .get(family, key, Tier::Disk, |value| test(Some(value)))?;
        Ok(stored.unwrap_or_else(|| test(None)))
    }
}
