//! Nothing is here but tests.
