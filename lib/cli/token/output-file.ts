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

/** The content of a resumed file. */
export interface Resumed {
  readonly tokens: number
  readonly expired: number
  readonly isExposed: boolean
}

/** What `resume` needs to read the file. */
interface ResumeOptions {
  readonly done: IdentitySet
  readonly scopes: readonly string[]
  readonly signal: AbortSignal
}

/** Formats a token as a line of NDJSON. */
export function formatToken({ identity, sessionToken, expiresAt, scopes }: SessionToken): string {
  return `${toJson({ identity, sessionToken, expiresAt, scopes })}\n`
}

/** Whether two paths lead to the same file. `-` is standard input. */
export function isSameFile(path: string, other: string | undefined): boolean {
  if (other === undefined) return false
  try {
    const one = statSync(path, { bigint: true })
    const two = other === '-' ? fstatSync(0, { bigint: true }) : statSync(other, { bigint: true })
    return one.dev === two.dev && one.ino === two.ino
  } catch {
    return false // Opening the file reports the error.
  }
}

/**
 * A file of tokens, one per line, that survives a crash of its writer.
 *
 * When `append` returns, the operating system has the line, so the end of the process does not lose it. The line reaches
 * the disk after about a second, so a power failure loses only the lines of that time.
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

  /** Creates the file. @throws CommandError if the file exists, because a token file is never overwritten. */
  static create(path: string): TokenFile {
    try {
      return new TokenFile(path, openSync(path, 'wx', 0o600))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError('Cannot create the output file', error)
      if (!existsSync(path))
        throw new CommandError(
          '--out is a link to a file that does not exist. Remove the link, or choose another name.',
          EXIT.file,
        )
      throw new CommandError('The output file exists. Use --resume to continue it, or choose another name.', EXIT.usage)
    }
  }

  /**
   * Continues the file at `path`, or creates it. Adds the identities of the file to `done`, until `signal` aborts, and
   * cuts off a half-written last line.
   */
  static async resume(path: string, options: ResumeOptions): Promise<{ file: TokenFile; resumed?: Resumed }> {
    let fd: number
    try {
      fd = openSync(path, constants.O_RDWR)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { file: TokenFile.create(path) }
      throw fileError('Cannot open the output file', error)
    }
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile()) throw new CommandError('--resume requires --out to be a regular file.', EXIT.usage)
      const resumed = { ...(await readDone(fd, options)), isExposed: isOpenToOthers(stat) }
      // Windows does not truncate a file that is open for appending, so there are two descriptors.
      return { file: new TokenFile(path, openSync(path, constants.O_WRONLY | constants.O_APPEND)), resumed }
    } catch (error) {
      throw error instanceof CommandError ? error : fileError('Cannot read the output file', error)
    } finally {
      closeSync(fd)
    }
  }

  append(token: SessionToken): void {
    try {
      writeAll(this.#fd, formatToken(token))
    } catch (error) {
      throw fileError(`Cannot write the output file ${this.#path}`, error)
    }
    this.#syncPeriodically()
  }

  close(): void {
    try {
      fsyncSync(this.#fd)
    } catch (error) {
      // Pipes and some devices have nothing to sync.
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw fileError('Cannot write the output file', error)
    } finally {
      closeSync(this.#fd)
    }
  }

  #syncPeriodically(): void {
    if (this.#isSyncing || Date.now() - this.#syncedAt < SYNC_INTERVAL_MS) return
    this.#isSyncing = true
    // close() syncs again and reports the error.
    fsync(this.#fd, () => {
      this.#isSyncing = false
      this.#syncedAt = Date.now()
    })
  }
}

/** Writes at `position`, or where the descriptor writes. */
function writeAll(fd: number, text: string, position?: number): void {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length;) {
    const more = writeSync(fd, bytes, written, null, position === undefined ? null : position + written)
    if (more === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
    written += more
  }
}

async function readDone(
  fd: number,
  { done, scopes, signal }: ResumeOptions,
): Promise<{ tokens: number; expired: number }> {
  let [tokens, expired, whole] = [0, 0, 0]
  const now = Date.now()
  for await (const line of readLines(readBytes(fd))) {
    if (signal.aborted) break
    const token = parseToken(line)
    if (!token) {
      if (line.isEnded || !isHalfWritten(line)) throw foreignLine(line.number)
      ftruncateSync(fd, whole) // The writer was killed while it wrote this line.
      break
    }
    if (JSON.stringify(token.scopes) !== JSON.stringify(scopes)) throw otherScopes(line.number)
    // The line lacks only its line feed.
    if (!line.isEnded) writeAll(fd, '\n', line.end)
    done.add(token.identity)
    tokens++
    if (Date.parse(token.expiresAt) <= now) expired++
    whole = line.end
  }
  return { tokens, expired }
}

/** The start of every line that `formatToken` returns. */
const LINE_START = Buffer.from('{"identity":"')

/** Whether the line can be the start of a line that `formatToken` returned. Other content must not be cut off. */
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
  const message = `Line ${number} of the output file is not a token. vkit did not write this file, and does not change it.`
  return new CommandError(message, EXIT.file)
}

function otherScopes(number: number): CommandError {
  const message = `The output file contains tokens with other scopes (line ${number}). Use the same --scope, or another --out.`
  return new CommandError(message, EXIT.usage)
}
