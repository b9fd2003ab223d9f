//! Seeded clock, ids and randomness, faulty links, and the whole-system simulation.
