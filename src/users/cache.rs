//! Memory for what is read again and again, bounded in bytes: one user's rules can weigh as much as a thousand others'.

use std::{hash::Hash, sync::Arc};

use quick_cache::{Weighter, sync::Cache};

/// What an entry costs beside its value: key, pointers, the cache's own list.
const ENTRY_BYTES: u64 = 128;

/// A cache of values that know their size.
pub(crate) struct ByBytes<K, V>(Cache<K, Weighed<V>, Size>);

struct Weighed<V> {
    value: Arc<V>,
    bytes: u64,
}

impl<V> Clone for Weighed<V> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            bytes: self.bytes,
        }
    }
}

#[derive(Clone)]
struct Size;

impl<K, V> Weighter<K, Weighed<V>> for Size {
    fn weight(&self, _key: &K, value: &Weighed<V>) -> u64 {
        value.bytes
    }
}

impl<K: Hash + Eq, V> ByBytes<K, V> {
    /// Of `bytes` bytes at most; `usual_bytes` is what most entries weigh.
    pub(crate) fn new(bytes: usize, usual_bytes: usize) -> Self {
        Self(Cache::with_weighter(
            (bytes / usual_bytes).max(1),
            bytes as u64,
            Size,
        ))
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.0.get(key).map(|weighed| weighed.value)
    }

    /// Keeps `value`, which weighs about `bytes`.
    pub(crate) fn insert(&self, key: K, value: Arc<V>, bytes: usize) {
        let bytes = bytes as u64 + ENTRY_BYTES;
        self.0.insert(key, Weighed { value, bytes });
    }

    /// Bytes in it, and how many they may be.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.0.weight(), self.0.capacity())
    }

    pub(crate) fn remove(&self, key: &K) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::ByBytes;

    #[test]
    fn a_heavy_value_does_not_stay_beside_many_others() {
        let cache = ByBytes::new(100_000, 1_000);
        for key in 0..1_000 {
            cache.insert(key, Arc::new(()), 10_000);
        }
        let kept = (0..1_000).filter(|key| cache.get(key).is_some()).count();
        assert!(kept < 20, "{kept}");
        cache.insert(0, Arc::new(()), 1_000_000);
        assert!(cache.get(&0).is_none());
    }
}
