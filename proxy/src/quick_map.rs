//! Maps that each connection and request looks into: with a hash that takes a quarter of the time of the standard
//! library's. Its keys are few bytes, of which the clients choose some; it begins with numbers of chance that nobody is
//! told, so nobody can choose keys that fall together.

use std::collections::HashMap;

/// A map with the quick hash.
pub(crate) type QuickMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
