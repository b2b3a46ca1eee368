// What the two TypeScript clients share: run the plan, print what the client showed.

import { z } from 'zod';

const anything = z.looseObject({});

function failure(error) {
  // A number is the server's code, or -32602 made up by a client that rejects what it was sent; the frames tell.
  if (typeof error.code === 'number') {
    return { error: { code: error.code, message: error.message, data: error.data ?? null } };
  }
  return { rejected: String(error.message ?? error) };
}

const kinds = {
  extensions: async client => client.getServerCapabilities()?.extensions ?? null,
  listTools: async client => (await client.listTools()).tools,
  callTool: (client, step) => client.callTool({ name: step.name, arguments: step.params }),
  request: (client, step) => client.request({ method: step.name, params: step.params }, anything)
};

/** `connect(target, era, extensions)` gives a connected client. */
export async function run(connect) {
  const plan = JSON.parse(process.argv[2]);
  const seen = {};
  for (const session of plan.sessions) {
    const client = await connect(session.target, plan.era, session.extensions ?? undefined);
    for (const step of session.steps) {
      try {
        seen[step.step] = { result: await kinds[step.kind](client, step) };
      } catch (error) {
        seen[step.step] = failure(error);
      }
    }
    await client.close();
  }
  console.log(JSON.stringify(seen));
  process.exit(0);
}
