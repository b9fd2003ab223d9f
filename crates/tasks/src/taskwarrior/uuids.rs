//! Taskwarrior's UUIDs and our ids. An id of ours stands in its UUID, so that it comes back; of another's UUID the id is a digest.

use sha2::{Digest, Sha256};
use uuid::{Uuid, Variant};

use crate::TaskId;

/// How many bits of a UUID of ours say that it is one.
const CHECK_BITS: u32 = 45;

/// The id of the task with this UUID.
pub fn id_of(uuid: Uuid) -> TaskId {
    ours(uuid).unwrap_or_else(|| TaskId::numbered(number(b"taskwarrior", uuid.as_bytes())))
}

/// The UUID of a task that was not made by Taskwarrior.
pub fn uuid_of(id: TaskId) -> Uuid {
    let bits = id.number() << CHECK_BITS | check(id);
    // Version 8, whose 48, 12 and 62 bits are whatever their maker likes.
    let (a, b, c) = (bits >> 74, bits >> 62 & 0xfff, bits & ((1 << 62) - 1));
    Uuid::from_u128(a << 80 | 8 << 76 | b << 64 | 0b10 << 62 | c)
}

/// The id that stands in a UUID of ours.
pub(super) fn ours(uuid: Uuid) -> Option<TaskId> {
    let whole = uuid.as_u128();
    (uuid.get_version_num() == 8 && uuid.get_variant() == Variant::RFC4122).then_some(())?;
    let bits = whole >> 80 << 74 | (whole >> 64 & 0xfff) << 62 | whole & ((1 << 62) - 1);
    let id = TaskId::numbered(bits >> CHECK_BITS);
    (uuid_of(id) == uuid).then_some(id)
}

fn check(id: TaskId) -> u128 {
    number(b"tolstoy", id.as_str().as_bytes()) >> (128 - CHECK_BITS)
}

fn number(what: &[u8], of: &[u8]) -> u128 {
    let digest = Sha256::new().chain_update(what).chain_update([0]).chain_update(of).finalize();
    digest.first_chunk().map_or(0, |first| u128::from_be_bytes(*first))
}
