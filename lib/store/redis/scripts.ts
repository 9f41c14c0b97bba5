import { createHash } from 'node:crypto'
import type { RedisCommands } from './connection.js'

export interface Script {
  readonly text: string
  readonly sha1: string
}

/** GETRANGE, because anyone who can write to Redis can store a value of any length. */
const HELD_BY = `local holder = redis.call('GETRANGE', KEYS[1], 0, #ARGV[1])`

export const ACQUIRE: Script = script(`
${HELD_BY}
if holder ~= '' and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

export const RELEASE: Script = script(`
${HELD_BY}
if holder == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)

function script(text: string): Script {
  return { text, sha1: createHash('sha1').update(text).digest('hex') }
}

/** Runs a script, in one round trip if the server has it already. */
export async function runScript(
  commands: RedisCommands,
  { text, sha1 }: Script,
  { key, args }: { key: string; args: readonly string[] },
): Promise<unknown> {
  try {
    return await commands.evalSha(sha1, key, args)
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return commands.eval(text, key, args)
  }
}
