// npm @modelcontextprotocol/sdk 1.x: the older TypeScript SDK, legacy era only.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { run } from './session.mjs';

await run(async (target, era, extensions) => {
  const capabilities = extensions ? { extensions } : {};
  const client = new Client({ name: 'typescript-sdk', version: '1' }, { capabilities });
  const transport = target.url
    ? new StreamableHTTPClientTransport(new URL(target.url))
    : new StdioClientTransport({ command: target.command[0], args: target.command.slice(1) });
  await client.connect(transport);
  return client;
});
