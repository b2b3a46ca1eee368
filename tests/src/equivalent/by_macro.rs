//! With mcp-ext.

use std::sync::Arc;

use super::{logic::Shelf, types::*};
use mcp_ext::prelude::*;

/// Keeps notes.
#[extension(id = "com.example/notes", settings = NotesSettings)]
pub trait Notes {
    /// Reads one note.
    #[method]
    async fn read(&self, cx: &Cx<NotesExtension>, params: ReadParams) -> Answer<Note>;
    /// Searches the notes for a word.
    #[method]
    #[tool(name = "search_notes", hints(read_only))]
    async fn search(&self, cx: &ToolCx<NotesExtension>, params: SearchParams) -> Answer<Found>;
    /// Keeps a new note.
    #[method]
    #[tool(gated, hints(destructive = false))]
    async fn add_note(&self, cx: &Cx<NotesExtension>, params: AddNoteParams) -> Answer<Note>;
}

#[handlers]
impl Notes for Shelf {
    async fn read(&self, _: &Cx<NotesExtension>, params: ReadParams) -> Answer<Note> {
        self.read(params)
    }

    async fn search(&self, cx: &ToolCx<NotesExtension>, params: SearchParams) -> Answer<Found> {
        Ok(self.search(cx.settings(), params))
    }

    async fn add_note(&self, cx: &Cx<NotesExtension>, params: AddNoteParams) -> Answer<Note> {
        self.add_note(cx.settings(), params)
    }
}

/// Enables it.
///
/// # Errors
/// Never: there is nothing it could clash with.
pub fn extensions(shelf: Arc<Shelf>, settings: NotesSettings) -> Result<ExtensionSet, BuildError> {
    let notes = NotesExtension::provide(shelf).settings(settings);
    ExtensionSet::builder().enable(notes).build()
}
