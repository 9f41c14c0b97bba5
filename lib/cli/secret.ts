import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { environment, type Environment } from '../options/environment.js'
import { CommandError, EXIT, fileError, usageError } from './exit-codes.js'
import { isOpenToOthers } from './file-mode.js'

const MAX_BYTES = 64 * 1024

export interface FoundSecret {
  readonly secret: string
  /** Where it was found, to be told; never the secret. */
  readonly source: string
  /** What is not right about that place. */
  readonly warning?: string
}

/**
 * The app secret: from `--secret-file` (`-` is standard input), else from the environment.
 *
 * @throws CommandError where there is none, or the file cannot be read
 */
export async function findSecret(secretFile: string | undefined): Promise<FoundSecret> {
  if (secretFile === '-') return { secret: await readStandardInput(), source: 'standard input' }
  if (secretFile !== undefined) return readSecretFile(secretFile)
  const secret = environment()['VKIT_APP_SECRET']
  if (secret) return { secret, source: 'VKIT_APP_SECRET' }
  throw new CommandError(
    'No app secret. Set VKIT_APP_SECRET, or give --secret-file <file>, or pipe it in with --secret-file -. ' +
      'It is what the dashboard calls API TOKEN: Apps → Your App → API TOKEN.',
    EXIT.config,
  )
}

async function readSecretFile(path: string): Promise<FoundSecret> {
  const file = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw fileError('The secret file cannot be read', error)
  })
  try {
    const isExposed = isOpenToOthers(await file.stat())
    const secret = await readText(file.createReadStream(), 'The secret file')
    const warning = 'Others than its owner can read the secret file. Close it: chmod 600 <file>'
    return { secret, source: 'the secret file', ...(isExposed && { warning }) }
  } catch (error) {
    throw error instanceof CommandError ? error : fileError('The secret file cannot be read', error)
  } finally {
    await file.close()
  }
}

async function readStandardInput(): Promise<string> {
  // A terminal would show what is typed.
  if (process.stdin.isTTY) throw usageError('Pipe the secret into --secret-file -; it is not typed.')
  return readText(process.stdin, 'Standard input')
}

/** Reads no further than a secret can be long: a device or a pipe may never end. */
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

/** Whether Node would print the requests, with the secret in them. */
export function printsRequests(environment: Environment): boolean {
  const sections = (environment['NODE_DEBUG'] ?? '').split(',').map(section => section.trim().toLowerCase())
  return sections.some(section => /^(?:https?|net|tls|stream)$|\*/.test(section))
}
