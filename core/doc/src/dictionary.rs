//! The numbers that stand for field names and writers in rows. Owns the contract and an in-memory
//! table; keeping the table over restarts is the store's job.

use std::collections::BTreeMap;

use stead_base::WriterId;

/// Two-way tables of field names and writers, shared by all the rows of one store.
///
/// A number, once given, stands for the same name for ever; numbers never leave the device.
pub trait Dictionary {
    /// The field name of a number.
    fn field(&self, number: u32) -> Option<&str>;
    /// The number of a field name, if it has one.
    fn field_number(&self, name: &str) -> Option<u32>;
    /// The number of a field name; gives it one if it has none.
    fn intern_field(&mut self, name: &str) -> u32;
    /// The writer of a number.
    fn writer(&self, number: u32) -> Option<&WriterId>;
    /// The number of a writer; gives it one if it has none.
    fn intern_writer(&mut self, writer: &WriterId) -> u32;
}

/// A dictionary in memory, with numbers counted from 0.
///
/// A store loads it with [`Numbers::load`] and, in the transaction that writes the rows, saves
/// [`Numbers::fields`] and [`Numbers::writers`] from the first number it has not yet saved.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    fields: Vec<Box<str>>,
    field_numbers: BTreeMap<Box<str>, u32>,
    writers: Vec<WriterId>,
    writer_numbers: BTreeMap<WriterId, u32>,
}

impl Numbers {
    /// Restores saved tables, each in the order of its numbers.
    pub fn load(
        fields: impl IntoIterator<Item = Box<str>>,
        writers: impl IntoIterator<Item = WriterId>,
    ) -> Self {
        let mut numbers = Self::default();
        for name in fields {
            numbers.intern_field(&name);
        }
        for writer in writers {
            numbers.intern_writer(&writer);
        }
        numbers
    }

    /// All field names; a name's position is its number.
    pub fn fields(&self) -> &[Box<str>] {
        &self.fields
    }

    /// All writers; a writer's position is its number.
    pub fn writers(&self) -> &[WriterId] {
        &self.writers
    }

    /// Forgets the numbers given since the tables had these lengths: for a transaction whose rows
    /// were not written.
    pub fn truncate(&mut self, fields: usize, writers: usize) {
        for name in self.fields.drain(fields.min(self.fields.len())..) {
            self.field_numbers.remove(&name);
        }
        for writer in self.writers.drain(writers.min(self.writers.len())..) {
            self.writer_numbers.remove(&writer);
        }
    }
}

impl Dictionary for Numbers {
    #[inline]
    fn field(&self, number: u32) -> Option<&str> {
        self.fields.get(number as usize).map(|name| &**name)
    }

    fn field_number(&self, name: &str) -> Option<u32> {
        self.field_numbers.get(name).copied()
    }

    fn intern_field(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.field_numbers.get(name) {
            return number;
        }
        let number = self.fields.len() as u32;
        self.fields.push(name.into());
        self.field_numbers.insert(name.into(), number);
        number
    }

    #[inline]
    fn writer(&self, number: u32) -> Option<&WriterId> {
        self.writers.get(number as usize)
    }

    fn intern_writer(&mut self, writer: &WriterId) -> u32 {
        if let Some(&number) = self.writer_numbers.get(writer) {
            return number;
        }
        let number = self.writers.len() as u32;
        self.writers.push(*writer);
        self.writer_numbers.insert(*writer, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_transaction_leaves_no_numbers_behind() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.intern_field("a"), 0);
        assert_eq!(numbers.intern_field("b"), 1);
        numbers.truncate(1, 0);
        assert_eq!(numbers.field_number("b"), None);
        assert_eq!(numbers.intern_field("c"), 1);
        assert_eq!(numbers.field(1), Some("c"));
    }
}
