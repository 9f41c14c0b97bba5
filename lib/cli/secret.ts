import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { environment, type Environment } from '../options/environment.js'
import { CommandError, EXIT, fileError, usageError } from './exit-codes.js'
import { isOpenToOthers } from './file-mode.js'

const MAX_BYTES = 64 * 1024

export interface FoundSecret {
  readonly secret: string
  /** Where the secret was found, for messages; never the secret. */
  readonly source: string
  /** A problem with that place. */
  readonly warning?: string
}

/**
 * Reads the app secret from `--secret-file` (`-` is standard input), else from the environment.
 *
 * @throws CommandError if no secret is set, or the file cannot be read
 */
export async function findSecret(secretFile: string | undefined): Promise<FoundSecret> {
  if (secretFile === '-') return { secret: await readStandardInput(), source: 'standard input' }
  if (secretFile !== undefined) return readSecretFile(secretFile)
  const secret = environment()['VKIT_APP_SECRET']
  if (secret) return { secret, source: 'VKIT_APP_SECRET' }
  throw new CommandError(
    'No app secret. Set VKIT_APP_SECRET, use --secret-file <file>, or pipe the secret in with --secret-file -. ' +
      'Find it in the dashboard: Apps → Your App → API TOKEN.',
    EXIT.config,
  )
}

async function readSecretFile(path: string): Promise<FoundSecret> {
  const file = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw fileError('Cannot read the secret file', error)
  })
  try {
    const isExposed = isOpenToOthers(await file.stat())
    const secret = await readText(file.createReadStream(), 'The secret file')
    const warning = 'The secret file is readable by other users. Run: chmod 600 <file>'
    return { secret, source: 'the secret file', ...(isExposed && { warning }) }
  } catch (error) {
    throw fileError('Cannot read the secret file', error)
  } finally {
    await file.close()
  }
}

async function readStandardInput(): Promise<string> {
  // A terminal would show the typed secret.
  if (process.stdin.isTTY) throw usageError('--secret-file - does not read from a terminal. Pipe the secret in.')
  return readText(process.stdin, 'Standard input')
}

/** Reads at most the length of a secret, because a device or a pipe may never end. */
async function readText(stream: Readable, name: string): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BYTES) throw new CommandError(`${name} is too long to be a secret.`, EXIT.config)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString().trim()
}

/** Whether NODE_DEBUG makes Node print requests, which contain the secret. */
export function printsRequests(environment: Environment): boolean {
  const sections = (environment['NODE_DEBUG'] ?? '').split(',').map(section => section.trim().toLowerCase())
  return sections.some(section => /^(?:https?|net|tls|stream)$|\*/.test(section))
}
