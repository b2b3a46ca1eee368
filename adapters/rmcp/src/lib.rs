//! mcp-ext.
