// Lists of identities, each different from the others.
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

export function* identities(count = Infinity) {
  for (let i = 0; i < count; i++) yield `user-${1_000_000 + i}`
}

/** Calls `work` with the path of a file that contains `count` identities. Its folder exists only during the call. */
export async function withList(count, work) {
  const folder = await mkdtemp(path.join(tmpdir(), 'videokit-bulk-'))
  try {
    const list = path.join(folder, 'users.txt')
    const file = createWriteStream(list)
    for (const identity of identities(count)) if (!file.write(`${identity}\n`)) await once(file, 'drain')
    file.end()
    await once(file, 'close')
    return await work(list)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Counts the tokens in the output of `vkit token --json`, and how many identities they have. */
export async function countTokens(file) {
  const found = new Set()
  let tokens = 0
  for await (const line of createInterface({ input: createReadStream(file) })) {
    tokens++
    found.add(JSON.parse(line).identity)
  }
  return { tokens, identities: found.size }
}
