//! How whoever reads the repository spares those who work on the same machine.

use std::sync::Arc;

use super::page_cache::PageCache;
use super::throttle::Throttle;

/// How contents are read. By default as fast as can be, and leaving them in the page cache.
#[derive(Clone, Debug)]
pub struct LowImpact {
    /// What becomes of their pages.
    pub page_cache: PageCache,
    /// A limit on bytes a second, over all who have this or a clone of it.
    pub throttle: Arc<Throttle>,
}

impl LowImpact {
    /// Reads no more than `limit` bytes a second, where there is one.
    pub fn new(page_cache: PageCache, limit: Option<u64>) -> LowImpact {
        LowImpact {
            page_cache,
            throttle: Arc::new(Throttle::new(limit)),
        }
    }
}

impl Default for LowImpact {
    fn default() -> Self {
        LowImpact::new(PageCache::Keep, None)
    }
}
