// npm @modelcontextprotocol/client: the TypeScript client, both eras.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { run } from './session.mjs';

await run(async (target, era, extensions) => {
  const client = new Client(
    { name: 'typescript-client', version: '1' },
    {
      capabilities: extensions ? { extensions } : {},
      versionNegotiation: { mode: era === 'modern' ? 'auto' : 'legacy' }
    }
  );
  const transport = target.url
    ? new StreamableHTTPClientTransport(new URL(target.url))
    : new StdioClientTransport({ command: target.command[0], args: target.command.slice(1) });
  await client.connect(transport);
  return client;
});
