//! Nothing of its own: a server of pmcp for the acceptance set (the example `acceptance`), and tests of what stands against
//! an adapter for it.
