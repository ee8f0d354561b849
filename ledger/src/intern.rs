//! Texts and tuples that repeat, each under a small number, as one day file keeps them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Texts by number, from 1. Those after `stored` are not in the file yet.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    ids: HashMap<Arc<str>, u32>,
    values: Vec<Arc<str>>,
    stored: usize,
}

impl Texts {
    /// Texts as read from a file, in order of their numbers.
    pub(crate) fn loaded(values: Vec<Arc<str>>) -> Self {
        let ids = values.iter().enumerate().map(|(i, value)| (Arc::clone(value), i as u32 + 1));
        Self { ids: ids.collect(), stored: values.len(), values }
    }

    /// The number of a text, and whether it is new.
    pub(crate) fn id(&mut self, text: &str) -> (u32, bool) {
        if let Some(&id) = self.ids.get(text) {
            return (id, false);
        }
        let value: Arc<str> = text.into();
        self.values.push(Arc::clone(&value));
        let id = self.values.len() as u32;
        self.ids.insert(value, id);
        (id, true)
    }

    /// The text of a number that this file gave.
    pub(crate) fn text(&self, id: u32) -> &Arc<str> {
        &self.values[id as usize - 1]
    }

    /// What the file does not hold yet, each with its number.
    pub(crate) fn fresh(&self) -> Vec<(u32, Arc<str>)> {
        let fresh = self.values.iter().enumerate().skip(self.stored);
        fresh.map(|(i, value)| (i as u32 + 1, Arc::clone(value))).collect()
    }

    /// The file holds everything now.
    pub(crate) fn mark_stored(&mut self) {
        self.stored = self.values.len();
    }
}

/// Tuples by number, from 1.
#[derive(Debug)]
pub(crate) struct Tuples<T> {
    ids: HashMap<T, u32>,
    values: Vec<T>,
    stored: usize,
}

impl<T: Copy + Eq + Hash> Tuples<T> {
    /// Tuples as read from a file, in order of their numbers.
    pub(crate) fn loaded(values: Vec<T>) -> Self {
        let ids = values.iter().enumerate().map(|(i, value)| (*value, i as u32 + 1)).collect();
        Self { ids, stored: values.len(), values }
    }

    /// The number of a tuple.
    pub(crate) fn id(&mut self, tuple: T) -> u32 {
        if let Some(&id) = self.ids.get(&tuple) {
            return id;
        }
        self.values.push(tuple);
        let id = self.values.len() as u32;
        self.ids.insert(tuple, id);
        id
    }

    /// The tuple of a number, if there is one.
    pub(crate) fn get(&self, id: u32) -> Option<T> {
        self.values.get((id as usize).checked_sub(1)?).copied()
    }

    /// All tuples, in order of their numbers.
    pub(crate) fn into_values(self) -> Vec<T> {
        self.values
    }

    /// The tuple of a number that this file gave.
    pub(crate) fn tuple(&self, id: u32) -> T {
        self.values[id as usize - 1]
    }

    /// What the file does not hold yet, each with its number.
    pub(crate) fn fresh(&self) -> Vec<(u32, T)> {
        let fresh = self.values.iter().enumerate().skip(self.stored);
        fresh.map(|(i, value)| (i as u32 + 1, *value)).collect()
    }

    /// The file holds everything now.
    pub(crate) fn mark_stored(&mut self) {
        self.stored = self.values.len();
    }
}
