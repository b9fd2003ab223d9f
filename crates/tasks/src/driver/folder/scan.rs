//! What lies in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::files::{self, Found};
use super::names::{self, Name};
use crate::driver::Trouble;
use crate::{Document, Refusal, TaskId, resolve};

/// The files of a folder, by what their names say.
#[derive(Debug, Default)]
pub(super) struct Names {
    tasks: BTreeSet<TaskId>,
    copies: BTreeMap<TaskId, Vec<String>>,
    /// Files that hold a task under another name.
    renamed: BTreeMap<TaskId, Vec<String>>,
    pub(super) leftovers: Vec<String>,
}

/// What is there of one task.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What all files of the task come to.
    pub(super) document: Option<Document>,
    /// The bytes of the task's own file.
    pub(super) bytes: Option<Vec<u8>>,
    /// Why that is no task.
    pub(super) unusable: Option<String>,
    /// The other files that the document comes from, with their bytes.
    pub(super) merged: Vec<(String, Vec<u8>)>,
    pub(super) troubles: Vec<Trouble>,
}

impl Names {
    /// Reads the names in a folder, and the files whose names do not say what they are.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for entry in fs::read_dir(root)? {
            // A name that is no text is none of ours.
            let Ok(name) = entry?.file_name().into_string() else { continue };
            match Name::of(&name) {
                Name::Task(id) => drop(found.tasks.insert(id)),
                Name::Copy(id) => found.copies.entry(id).or_default().push(name),
                Name::Leftover => found.leftovers.push(name),
                Name::Foreign => {}
                Name::Stray => {
                    if let Ok((document, _)) = read_task(root, &name) {
                        found.renamed.entry(document.id()).or_default().push(name);
                    }
                }
            }
        }
        found.copies.values_mut().chain(found.renamed.values_mut()).for_each(|names| names.sort());
        Ok(found)
    }

    /// All tasks that files speak of.
    pub(super) fn ids(&self) -> BTreeSet<TaskId> {
        self.tasks.iter().chain(self.copies.keys()).chain(self.renamed.keys()).copied().collect()
    }

    /// The files that hold a task which has its own file as well.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let second = |(id, names): (&TaskId, &Vec<String>)| {
            let first = usize::from(!self.tasks.contains(id));
            let why = format!("it holds the task {id} too; what is in it is not used");
            names
                .iter()
                .skip(first)
                .map(move |name| Trouble { place: name.clone(), why: why.clone() })
                .collect::<Vec<_>>()
        };
        self.renamed.iter().flat_map(second).collect()
    }

    /// Reads what is there of a task.
    pub(super) fn look(&self, root: &Path, id: TaskId) -> Seen {
        let mut seen = Seen::of_main(id, files::read(&root.join(names::of_task(id))));
        let renamed = self.renamed.get(&id).and_then(|names| names.first());
        let others = self.copies.get(&id).into_iter().flatten();
        for name in others.chain(renamed.filter(|_| !self.tasks.contains(&id))) {
            seen.merge(root, id, name);
        }
        seen
    }
}

impl Seen {
    /// What the task's own file says.
    pub(super) fn of_main(id: TaskId, found: Found) -> Self {
        match found {
            Found::Nothing => Self::default(),
            Found::Unreadable(why) => Self { unusable: Some(why), ..Self::default() },
            Found::File { bytes, changed } => match parse(&bytes, changed).and_then(|document| of_task(document, id)) {
                Ok(document) => Self { document: Some(document), bytes: Some(bytes), ..Self::default() },
                Err(Refusal(why)) => Self { unusable: Some(why), bytes: Some(bytes), ..Self::default() },
            },
        }
    }

    /// Takes in another file of the task.
    fn merge(&mut self, root: &Path, id: TaskId, name: &str) {
        let both = read_task(root, name).and_then(|(document, bytes)| {
            let theirs = of_task(document, id)?;
            let both = self.document.as_ref().map_or_else(|| Ok(theirs.clone()), |ours| resolve(ours, &theirs))?;
            Ok((both, bytes))
        });
        match both {
            Ok((both, bytes)) => {
                self.document = Some(both);
                self.merged.push((name.to_owned(), bytes));
            }
            // It was merged and removed since the names were read.
            Err(_) if matches!(files::read(&root.join(name)), Found::Nothing) => {}
            Err(Refusal(why)) => self.troubles.push(Trouble { place: name.to_owned(), why }),
        }
    }

    /// The bytes that the task's own file must still have for it to be written over. What was put aside is there no more.
    pub(super) fn expected(&self) -> Option<&[u8]> {
        self.bytes.as_deref().filter(|_| self.unusable.is_none())
    }

    /// Whether the task's own file says all there is.
    pub(super) fn is_settled(&self) -> bool {
        self.merged.is_empty()
    }
}

fn read_task(root: &Path, name: &str) -> Result<(Document, Vec<u8>), Refusal> {
    match files::read(&root.join(name)) {
        Found::Nothing => Err(Refusal("it is gone".to_owned())),
        Found::Unreadable(why) => Err(Refusal(why)),
        Found::File { bytes, changed } => Ok((parse(&bytes, changed)?, bytes)),
    }
}

fn parse(bytes: &[u8], changed: Option<tolstoy_edn::Instant>) -> Result<Document, Refusal> {
    let text = str::from_utf8(bytes).map_err(|e| Refusal(format!("it is no text in UTF-8: {e}")))?;
    Document::parse_changed(text, changed)
}

fn of_task(document: Document, id: TaskId) -> Result<Document, Refusal> {
    if document.id() == id {
        Ok(document)
    } else {
        Err(Refusal(format!("it holds another task, {}: give it that name, or remove it", document.id())))
    }
}
