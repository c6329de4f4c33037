//! The named limits of a schema. Each has a test at the limit.

/// Longest name of a field, in bytes: shorter than a name may be, so that a key made from it fits.
pub const FIELD_NAME_BYTES_MAX: usize = 112;
/// Most fields that one chain of revisions ever introduces, nested ones included.
pub const FIELDS_MAX: usize = 2048;
/// Deepest nesting of kinds: records, maps, arrays and lists inside one another.
pub const KIND_DEPTH_MAX: usize = 16;
/// Largest encoded revision, in bytes.
pub const REVISION_BYTES_MAX: usize = 256 << 10;
/// Most revisions of one collection.
pub const REVISIONS_MAX: usize = 1024;
/// Most lenses in one revision, those inside `in` and `map` included.
pub const LENSES_MAX: usize = 4096;
/// Most values of an enum, and most rows of a conversion's table.
pub const VALUES_MAX: usize = 1024;
/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;
/// Most indexes of a revision.
pub const INDEXES_MAX: usize = 32;
/// Most fields of one index, and most fields searched as text.
pub const INDEX_FIELDS_MAX: usize = 16;
/// Most faults that one document is reported with.
pub const FAULTS_MAX: usize = 64;
