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
    /// Rows written in this group.
    rows: HashMap<(Family, Vec<u8>), Row>,
    /// Ranges deleted in this group.
    deleted: Vec<Deleted>,
    time: usize,
}

/// What a row was last made, `None` for deleted, and when.
struct Row {
    time: usize,
    value: Option<Vec<u8>>,
}

struct Deleted {
    time: usize,
    family: Family,
    from: Vec<u8>,
    to: Vec<u8>,
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
                    self.set(*family, &key.bytes, Some(&value.bytes));
                }
                Operation::Delete { family, key } => self.set(*family, &key.bytes, None),
                Operation::DeleteRange { family, from, to } => self.deleted.push(Deleted {
                    time: self.time,
                    family: *family,
                    from: from.clone(),
                    to: to.clone(),
                }),
            }
        }
    }

    fn set(&mut self, family: Family, key: &[u8], value: Option<&Vec<u8>>) {
        let row = Row {
            time: self.time,
            value: value.cloned(),
        };
        self.rows.insert((family, key.to_vec()), row);
    }

    /// Whether all guards hold.
    pub(crate) fn check(&self, guards: &[Guard]) -> Result<(), StoreError> {
        for guard in guards {
            let holds = match guard {
                Guard::Absent { family, key } => {
                    self.test(*family, key, |value| value.is_none())?
                }
                Guard::Equals { family, key, value } => {
                    self.test(*family, key, |found| found == Some(value))?
                }
            };
            if !holds {
                return Err(StoreError::Guard);
            }
        }
        Ok(())
    }

    fn test(
        &self,
        family: Family,
        key: &[u8],
        test: impl Fn(Option<&[u8]>) -> bool,
    ) -> Result<bool, StoreError> {
        let row = self.rows.get(&(family, key.to_vec()));
        let written = row.map_or(0, |row| row.time);
        let deleted = self.deleted.iter().any(|range| {
            range.time > written
                && range.family == family
                && range.from.as_slice() <= key
                && key < range.to.as_slice()
        });
        if deleted {
            return Ok(test(None));
        }
        if let Some(row) = row {
            return Ok(test(row.value.as_deref()));
        }
        let stored = self
            .engine
            .get(family, key, Tier::Disk, |value| test(Some(value)))?;
        Ok(stored.unwrap_or_else(|| test(None)))
    }
}
