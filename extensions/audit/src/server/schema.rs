//! The tables of the log.

/// Names the schema in the store.
pub(crate) const NAME: &str = "mcp-ext-audit";

/// Records cannot be changed or deleted, and stand in the store only in their order; `OR REPLACE` would delete without a
/// trigger of its own, so the one on insert refuses what is there already. What names people, and the salts of the digests,
/// stand in tables of their own and can be deleted: that is what erasure does.
pub(crate) const STEPS: &[&str] = &["
    CREATE TABLE audit_segment (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL UNIQUE
    );
    CREATE TABLE audit_subject (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        pseudonym TEXT NOT NULL UNIQUE,
        UNIQUE (kind, tenant, name)
    );
    CREATE TABLE audit_call (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        principal TEXT NOT NULL,
        salt BLOB NOT NULL
    );
    CREATE TABLE audit_touched (
        id INTEGER PRIMARY KEY,
        pseudonym TEXT NOT NULL,
        call TEXT NOT NULL,
        UNIQUE (pseudonym, call)
    );
    CREATE TABLE audit_record (
        id INTEGER PRIMARY KEY,
        segment INTEGER NOT NULL REFERENCES audit_segment (id),
        seq INTEGER NOT NULL,
        event_id TEXT NOT NULL UNIQUE,
        principal TEXT NOT NULL,
        call TEXT NOT NULL,
        stage TEXT NOT NULL CHECK (stage IN ('intent', 'outcome')),
        event_hash TEXT NOT NULL,
        previous_hash TEXT,
        line TEXT NOT NULL,
        UNIQUE (segment, seq),
        UNIQUE (call, stage)
    );
    CREATE INDEX audit_record_principal ON audit_record (segment, principal, seq);
    CREATE TRIGGER audit_record_update BEFORE UPDATE ON audit_record BEGIN
        SELECT RAISE(ABORT, 'audit records are never changed');
    END;
    CREATE TRIGGER audit_record_delete BEFORE DELETE ON audit_record BEGIN
        SELECT RAISE(ABORT, 'audit records are never deleted');
    END;
    CREATE TRIGGER audit_record_insert BEFORE INSERT ON audit_record
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_record WHERE segment = NEW.segment)
        OR NEW.previous_hash IS NOT
            (SELECT event_hash FROM audit_record WHERE segment = NEW.segment ORDER BY seq DESC LIMIT 1)
        OR EXISTS (SELECT 1 FROM audit_record WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM audit_record WHERE event_id = NEW.event_id)
        OR EXISTS (SELECT 1 FROM audit_record WHERE call = NEW.call AND stage = NEW.stage)
    BEGIN
        SELECT RAISE(ABORT, 'audit records are only appended, each once and after the last');
    END;
"];
