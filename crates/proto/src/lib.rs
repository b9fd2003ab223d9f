//! What both ends of a log's wire share: ids, messages, limits, framing.
