//! The stories of stores that merge, once more, on a log in the original client's format.

#[path = "journal.rs"]
mod journal;
#[path = "merge_cases.rs"]
mod merge_cases;
#[path = "readme_example.rs"]
mod readme_example;
#[path = "transcript_story.rs"]
mod transcript_story;

mod lab {
    use std::ops::{Deref, DerefMut};

    use tolstoy_sync::NewLog;

    use crate::original::reader;

    /// A lab whose log is begun in the original's format; at the end of each story the original's reader reads it.
    pub(super) struct Lab(crate::lab::Lab);

    impl Lab {
        pub(super) fn new(devices: u64) -> Self {
            let mut lab = crate::lab::Lab::new(devices);
            lab.new_log = NewLog::Original;
            Self(lab)
        }

        pub(super) fn rest(&mut self) {
            self.0.rest();
            assert_eq!(reader::facts_of(&self.0.hub), reader::shared(&self.0.stores[0]));
        }
    }

    impl Deref for Lab {
        type Target = crate::lab::Lab;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl DerefMut for Lab {
        fn deref_mut(&mut self) -> &mut Self::Target {
            &mut self.0
        }
    }
}
