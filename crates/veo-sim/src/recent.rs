//! A bounded table: the oldest entries make room for new ones.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The latest entries by name, bounded in number and in bytes.
pub(crate) struct Recent<T> {
    most: usize,
    most_bytes: usize,
    /// Returns how many bytes an entry owns besides its name. The number must not change later.
    size: fn(&T) -> usize,
    entries: HashMap<Arc<str>, T>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl<T> Recent<T> {
    pub(crate) fn new(most: usize, most_bytes: usize, size: fn(&T) -> usize) -> Recent<T> {
        Recent {
            most,
            most_bytes,
            size,
            entries: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds an entry, or replaces one of the same name.
    pub(crate) fn put(&mut self, name: Arc<str>, value: T) {
        self.remove(&name);
        self.bytes += name.len() + (self.size)(&value);
        self.order.push_back(name.clone());
        self.entries.insert(name, value);
        while self.order.len() > self.most || self.bytes > self.most_bytes {
            let Some(oldest) = self.order.front().cloned() else {
                break;
            };
            self.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.entries.iter()
    }

    fn remove(&mut self, name: &Arc<str>) {
        if let Some(value) = self.entries.remove(name) {
            self.bytes -= name.len() + (self.size)(&value);
            if let Some(place) = self.order.iter().position(|other| other == name) {
                self.order.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_make_room() {
        let mut recent = Recent::new(3, 100, |size: &usize| *size);
        for (entry, size, wanted) in [
            ("a", 0, "a"),
            ("b", 9, "ab"),
            ("c", 9, "abc"),
            ("d", 0, "bcd"),
            // An entry that is put again is the latest.
            ("b", 49, "bcd"),
            ("e", 0, "bde"),
            ("f", 48, "bef"),
            ("g", 9, "efg"),
            ("h", 100, ""),
        ] {
            recent.put(entry.into(), size);
            let mut names: Vec<&str> = recent.iter().map(|(name, _)| &**name).collect();
            names.sort_unstable();
            assert_eq!(names.concat(), wanted, "{entry}");
            assert_eq!(recent.order.len(), recent.entries.len(), "{entry}");
        }
        assert_eq!(recent.bytes, 0);
    }
}
