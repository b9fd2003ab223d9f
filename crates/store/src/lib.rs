//! An embedded datom store in one SQLite file.
