//! Every driver does what drivers do.

use tolstoy_store::Store;
use tolstoy_tasks::driver::{Driver, Folder, FolderOptions, Memory, StoreDriver};

use crate::common::env;

mod memory {
    use super::*;

    tolstoy_tasks::driver_conformance!({
        let place = Memory::default();
        (move || Box::new(place.clone()) as Box<dyn Driver>, ())
    });
}

mod folder {
    use super::*;

    tolstoy_tasks::driver_conformance!({
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("tasks");
        let (env, options) = (env(1), FolderOptions { create: true, commit: false });
        (move || Box::new(Folder::open(&root, env.clone(), options).unwrap()) as Box<dyn Driver>, directory)
    });
}

mod hub {
    use super::*;

    tolstoy_tasks::driver_conformance!({
        let hub = &*crate::hub::SHARED;
        let log = hub.log();
        (move || Box::new(hub.driver(log)) as Box<dyn Driver>, ())
    });
}

mod store {
    use super::*;

    tolstoy_tasks::driver_conformance!({
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tasks.db");
        let env = env(1);
        let open = move || Store::open_or_create(&path, env.clone()).unwrap();
        (move || Box::new(StoreDriver::new(open())) as Box<dyn Driver>, directory)
    });
}
