import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs'
import type { SessionToken } from '../../token/session-token.js'
import { CommandError, EXIT, fileError } from '../exit-codes.js'
import { isOpenToOthers } from '../file-mode.js'
import { toJson } from '../terminal.js'
import type { IdentitySet } from './identity-set.js'
import { readBytes, readLines, textOf, type Line } from './lines.js'

const SYNC_INTERVAL_MS = 1_000

/** What a resumed file held. */
export interface Resumed {
  readonly tokens: number
  readonly expired: number
  readonly isExposed: boolean
}

/** What `resume` reads the file for. */
interface ResumedContent {
  readonly done: IdentitySet
  readonly scopes: readonly string[]
  readonly signal: AbortSignal
}

/** One token as a line of NDJSON. */
export function formatToken({ identity, sessionToken, expiresAt, scopes }: SessionToken): string {
  return `${toJson({ identity, sessionToken, expiresAt, scopes })}\n`
}

/** Whether two paths, of which `-` is standard input, lead to one file. */
export function isSameFile(path: string, other: string | undefined): boolean {
  if (other === undefined) return false
  try {
    const one = statSync(path, { bigint: true })
    const two = other === '-' ? fstatSync(0, { bigint: true }) : statSync(other, { bigint: true })
    return one.dev === two.dev && one.ino === two.ino
  } catch {
    return false // What is wrong with either of them is told where it is opened.
  }
}

/**
 * A file of tokens, a line each, that survives its writer.
 *
 * Every line has gone to the operating system when `append` returns, so that no end of the process loses it; and to the disk
 * within a second or so, so that a power failure loses no more than that.
 */
export class TokenFile {
  readonly #path: string
  readonly #fd: number
  #syncedAt = Date.now()
  #isSyncing = false

  private constructor(path: string, fd: number) {
    this.#path = path
    this.#fd = fd
  }

  /** @throws CommandError if there is a file already: a token file is not overwritten. */
  static create(path: string): TokenFile {
    try {
      return new TokenFile(path, openSync(path, 'wx', 0o600))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError('The output file cannot be made', error)
      if (!existsSync(path))
        throw new CommandError(
          '--out is a link to a file that does not exist. Remove it, or give another name.',
          EXIT.file,
        )
      throw new CommandError('The output file exists. Give --resume to go on with it, or another name.', EXIT.usage)
    }
  }

  /**
   * Goes on with the file at `path`, or makes it. Adds the identities that it holds to `done`, until `signal` aborts, and cuts
   * off a half-written end.
   */
  static async resume(path: string, content: ResumedContent): Promise<{ file: TokenFile; resumed?: Resumed }> {
    let fd: number
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_APPEND)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { file: TokenFile.create(path) }
      throw fileError('The output file cannot be opened', error)
    }
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile()) throw new CommandError('--out names no ordinary file, which --resume needs.', EXIT.usage)
      const isExposed = isOpenToOthers(stat)
      return { file: new TokenFile(path, fd), resumed: { ...(await readDone(fd, content)), isExposed } }
    } catch (error) {
      closeSync(fd)
      throw error instanceof CommandError ? error : fileError('The output file cannot be read', error)
    }
  }

  append(token: SessionToken): void {
    try {
      writeAll(this.#fd, formatToken(token))
    } catch (error) {
      throw fileError(`The output file ${this.#path} cannot be written`, error)
    }
    this.#syncNowAndThen()
  }

  close(): void {
    try {
      fsyncSync(this.#fd)
    } catch (error) {
      // Pipes and some devices have nothing to sync.
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL')
        throw fileError('The output file cannot be written', error)
    } finally {
      closeSync(this.#fd)
    }
  }

  #syncNowAndThen(): void {
    if (this.#isSyncing || Date.now() - this.#syncedAt < SYNC_INTERVAL_MS) return
    this.#isSyncing = true
    // What goes wrong here goes wrong again in close(), which tells.
    fsync(this.#fd, () => {
      this.#isSyncing = false
      this.#syncedAt = Date.now()
    })
  }
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length;) {
    const more = writeSync(fd, bytes, written)
    if (more === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
    written += more
  }
}

async function readDone(
  fd: number,
  { done, scopes, signal }: ResumedContent,
): Promise<{ tokens: number; expired: number }> {
  let [tokens, expired, whole] = [0, 0, 0]
  const now = Date.now()
  for await (const line of readLines(readBytes(fd))) {
    if (signal.aborted) break
    const token = parseToken(line)
    if (!token) {
      if (line.isEnded || !isHalfWritten(line)) throw foreignLine(line.number)
      ftruncateSync(fd, whole) // The writer was killed in the middle of it.
      break
    }
    if (JSON.stringify(token.scopes) !== JSON.stringify(scopes)) throw otherScopes(line.number)
    // Whole except for its line feed.
    if (!line.isEnded) writeAll(fd, '\n')
    done.add(token.identity)
    tokens++
    if (Date.parse(token.expiresAt) <= now) expired++
    whole = line.end
  }
  return { tokens, expired }
}

/** What every line of ours begins with: see `formatToken`. */
const LINE_START = Buffer.from('{"identity":"')

/** Whether it can be the beginning of a line of ours: what anybody else may have written is not ours to cut off. */
function isHalfWritten({ bytes, isTooLong }: Line): boolean {
  const length = Math.min(bytes.length, LINE_START.length)
  return !isTooLong && bytes.subarray(0, length).equals(LINE_START.subarray(0, length)) && !isJson(bytes)
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString())
    return true
  } catch {
    return false
  }
}

function parseToken(line: Line): SessionToken | undefined {
  try {
    const value = JSON.parse(textOf(line) ?? '') as Partial<SessionToken> | null
    const isToken = typeof value?.identity === 'string' && typeof value.sessionToken === 'string'
    return isToken && Array.isArray(value.scopes) ? (value as SessionToken) : undefined
  } catch {
    return undefined
  }
}

function foreignLine(number: number): CommandError {
  const message = `Line ${number} of the output file is no token: it was not written by this command, and is left as it is.`
  return new CommandError(message, EXIT.file)
}

function otherScopes(number: number): CommandError {
  const message = `The output file holds tokens with other scopes (line ${number}). Give the same --scope, or another --out.`
  return new CommandError(message, EXIT.usage)
}
