import fs, { constants, type Stats } from 'node:fs'
import type { SessionToken } from '../../token/session-token.js'
import { CommandError, EXIT, fileError } from '../exit-codes.js'
import { isOpenToOthers } from '../file-mode.js'
import { count, printWarning } from '../terminal.js'
import { lockFile } from './file-lock.js'
import type { IdentitySet } from './identity-set.js'
import { readBytes, readLines, textOf } from './lines.js'
import { formatToken, type TokenSink } from './sinks.js'

const SYNC_INTERVAL_MS = 1_000
const LINE_START = '{"identity":"'

/** Whether two paths lead to the same file. `-` is standard input. */
export function isSameFile(path: string, other: string | undefined): boolean {
  if (other === undefined) return false
  try {
    const one = fs.statSync(path, { bigint: true })
    const two = other === '-' ? fs.fstatSync(0, { bigint: true }) : fs.statSync(other, { bigint: true })
    return one.dev === two.dev && one.ino === two.ino
  } catch {
    return false // Opening the file reports the error.
  }
}

interface ResumeOptions {
  readonly done: IdentitySet
  readonly scopes: readonly string[]
  readonly signal: AbortSignal
}

/**
 * Creates a file of tokens, one per line, that survives a crash of its writer. Only one run at a time can open it. With
 * `resume`, continues the file, if it exists: adds its identities to `done`, until `signal` aborts, and cuts off a
 * half-written last line.
 *
 * @throws CommandError if the file exists, without `resume`, because a token file is never overwritten
 */
export async function openTokenFile(path: string, resume?: ResumeOptions): Promise<TokenSink> {
  const fd = openFile(path, resume ? 0 : constants.O_EXCL)
  let unlock: (() => void) | undefined
  try {
    const stat = fs.fstatSync(fd)
    refuseForeign(stat) // The path may lead to another file by now.
    if (isOpenToOthers(stat)) printWarning('The output file is readable by other users. Run: chmod 600 <file>')
    unlock = await lockFile(fd)
    if (resume) await readDone(fd, resume)
    return fileSink(fd, unlock)
  } catch (error) {
    fs.closeSync(fd)
    unlock?.()
    throw fileError('Cannot read the output file', error)
  }
}

/**
 * When `write` returns, the operating system has the line, so the end of the process does not lose it. The line reaches
 * the disk after about a second, so a power failure loses only the lines of that time.
 */
function fileSink(fd: number, unlock: () => void): TokenSink {
  let end = fs.fstatSync(fd).size
  let nextSyncAt = Date.now() + SYNC_INTERVAL_MS
  return {
    write({ token }) {
      if (!token) return
      try {
        end = writeAll(fd, formatToken(token), end)
      } catch (error) {
        throw fileError('Cannot write the output file', error)
      }
      if (Date.now() < nextSyncAt) return
      nextSyncAt = Infinity
      // close() syncs again and reports the error.
      fs.fsync(fd, () => (nextSyncAt = Date.now() + SYNC_INTERVAL_MS))
    },
    close() {
      try {
        fs.fsyncSync(fd)
      } catch (error) {
        throw fileError('Cannot write the output file', error)
      } finally {
        fs.closeSync(fd)
        unlock()
      }
    },
  }
}

/** Opens or creates a file to read and append. It follows no link, and waits for no pipe or device. */
function openFile(path: string, flag: number): number {
  const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants
  // Windows lacks the last two, and does not truncate a file that is open for appending.
  const posix = process.platform === 'win32' ? 0 : O_APPEND | O_NOFOLLOW | O_NONBLOCK
  try {
    const found = fs.lstatSync(path, { throwIfNoEntry: false })
    if (found) refuseForeign(found)
    return fs.openSync(path, O_RDWR | O_CREAT | posix | flag, 0o600)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new CommandError('The output file exists. Use --resume to continue it, or choose another name.', EXIT.usage)
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new CommandError('The folder of --out does not exist.', EXIT.file)
    throw fileError('Cannot open the output file', error)
  }
}

/** @throws CommandError if another user could have written into the file, or it is not a regular file */
function refuseForeign(stat: Stats): void {
  const problem =
    (stat.isSymbolicLink() && '--out is a link. Use the path of the file itself, or - for standard output.') ||
    (!stat.isFile() && '--out is not a regular file. Choose another name, or - for standard output.') ||
    (stat.uid !== (process.getuid?.() ?? stat.uid) &&
      'The output file belongs to another user. Run vkit as that user, or choose another name.') ||
    (isOpenToOthers(stat, 0o022) &&
      'Other users can write the output file, so its tokens may be forged. Choose another name. If you trust the file, run: chmod 600 <file>') ||
    (stat.nlink > 1 && 'The output file has a second name (a hard link). Copy it and continue the copy.')
  if (problem) throw new CommandError(problem, EXIT.file)
}

/** Writes at `position`, and returns the position after the text. */
function writeAll(fd: number, text: string, position: number): number {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length;) {
    const more = fs.writeSync(fd, bytes, written, null, position + written)
    if (more === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
    written += more
  }
  return position + bytes.length
}

async function readDone(fd: number, { done, scopes, signal }: ResumeOptions): Promise<void> {
  let [expired, whole] = [0, 0]
  const now = Date.now()
  for await (const { bytes, number, end, isEnded, isTooLong } of readLines(readBytes(fd))) {
    if (signal.aborted) break
    const token = parseJson(textOf({ bytes, number }))
    if (!isToken(token)) {
      // Other content must not be cut off.
      const isStart = LINE_START.startsWith(bytes.toString('latin1', 0, LINE_START.length))
      if (isEnded || isTooLong || !isStart || parseJson(bytes.toString()) !== undefined)
        throw lineError(number, 'is not a token. vkit did not write this file, and does not change it.')
      fs.ftruncateSync(fd, whole) // The writer was killed while it wrote this line.
      break
    }
    if (JSON.stringify(token.scopes) !== JSON.stringify(scopes))
      throw lineError(number, 'has other scopes. Use the same --scope, or another --out.', EXIT.usage)
    whole = isEnded ? end : writeAll(fd, '\n', end) // The line may lack only its line feed.
    done.add(token.identity)
    if (Date.parse(token.expiresAt) <= now) expired++
  }
  if (expired > 0) printWarning(`${count(expired, 'token')} in the output file already expired.`)
}

function parseJson(text = ''): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isToken(value: unknown): value is SessionToken {
  const { identity, sessionToken, scopes } = (value ?? {}) as Partial<SessionToken>
  return typeof identity === 'string' && typeof sessionToken === 'string' && Array.isArray(scopes)
}

function lineError(number: number, problem: string, exitCode: number = EXIT.file): CommandError {
  return new CommandError(`Line ${number} of the output file ${problem}`, exitCode)
}
