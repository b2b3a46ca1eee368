//! The business logic: a shelf of notes. It knows nothing of MCP.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::types::{
    AddNoteParams, Answer, Found, Note, NotesError, NotesSettings, ReadParams, SearchParams,
};

/// Notes, oldest first.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Note>>);

impl Shelf {
    fn notes(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many notes there are.
    pub fn len(&self) -> usize {
        self.notes().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.notes().is_empty()
    }

    /// One note.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn read(&self, params: ReadParams) -> Answer<Note> {
        let id = params.id.as_str();
        let found = self.notes().iter().find(|n| n.id == id).cloned();
        found.ok_or_else(|| NotesError::UnknownNote { id: id.to_owned() })
    }

    /// The notes that have a word, as many as both sides allow.
    pub fn search(&self, settings: &NotesSettings, params: SearchParams) -> Found {
        let allowed = settings.max_results.map_or(usize::MAX, |n| n as usize);
        let wanted = params.limit.map_or(20, |limit| limit.get());
        let has = |n: &&Note| n.text.split(' ').any(|w| w == params.word.as_str());
        let notes = self.notes();
        let found = notes.iter().filter(has).take(wanted.min(allowed));
        Found {
            notes: found.cloned().collect(),
        }
    }

    /// Keeps a note.
    ///
    /// # Errors
    /// When writing was not agreed on.
    pub fn add_note(&self, settings: &NotesSettings, params: AddNoteParams) -> Answer<Note> {
        if !settings.write {
            return Err(NotesError::ReadOnly {});
        }
        let mut notes = self.notes();
        let note = Note {
            id: format!("n{}", notes.len() + 1),
            title: params.title.into(),
            text: params.text.into(),
        };
        notes.push(note.clone());
        Ok(note)
    }
}
