import { constants, createReadStream, fstatSync, openSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal, Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { looksLikeSecret } from '../arguments.js'
import { CommandError, fileError } from '../exit-codes.js'
import { quote } from '../terminal.js'
import { readCsv } from './csv.js'
import { IdentitySet } from './identity-set.js'
import { CARRIAGE_RETURN, LINE_FEED, readBytes, readLines, readNamedPipe, textOf } from './lines.js'
import { detectFormat, isJsonLine, parseObject, type ListFlags } from './list-format.js'

export interface IdentityListOptions extends ListFlags {
  /** Identities that the list must skip. */
  readonly done: IdentitySet
  /** Ends the list, even while it waits for input. */
  readonly signal: AbortSignal
  /** Called for a line that is not an identity. */
  readonly onBadLine: (number: number, why: string) => void
  /** Called for an identity that is in `done`, or in the list for another time. */
  readonly onSkip: (reason: 'in-output' | 'duplicate') => void
}

/** The source that `--from` names. */
export interface ListSource {
  readonly fd: number
  /** `file` can be read twice. `pipe` and `named-pipe` are waited for without blocking a thread. */
  readonly kind: 'file' | 'pipe' | 'named-pipe' | 'other'
}

export function openList(path: string): ListSource {
  try {
    const pipe = path === '-' ? undefined : pipeKind(path)
    // A blocked `open` or `read` of a pipe would keep a thread, and so the process, until a writer writes.
    const fd = path === '-' ? 0 : openSync(path, constants.O_RDONLY | (pipe ? constants.O_NONBLOCK : 0))
    const stat = fstatSync(fd)
    if (stat.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' })
    return { fd, kind: pipe ?? (stat.isFile() && path !== '-' ? 'file' : 'other') }
  } catch (error) {
    throw fileError('Cannot read the list of identities', error)
  }
}

/**
 * Returns `pipe` if `path` is a pipe whose end the event loop reports. On Linux, these are all pipes. On macOS, these are
 * those below `/dev`, such as the `<(…)` of a shell, but not named pipes, because `kqueue` never reports their end.
 */
function pipeKind(path: string): 'pipe' | 'named-pipe' | undefined {
  if (process.platform === 'win32' || !statSync(path).isFIFO()) return undefined
  return process.platform === 'linux' || path.startsWith('/dev/') ? 'pipe' : 'named-pipe'
}

/**
 * Counts the lines of a file that are not empty, without the header of a CSV. Fields with line feeds make this an estimate.
 * If `signal` aborts, it returns the count so far.
 */
export async function countLines(
  { fd }: ListSource,
  { column, format }: ListFlags,
  signal: AbortSignal,
): Promise<number> {
  let [lines, last, isCsv]: [number, number, boolean?] = [0, LINE_FEED]
  for await (const chunk of readBytes(fd)) {
    if (signal.aborted) break
    isCsv ??= column !== undefined && format !== 'jsonl' && !isJsonLine(chunk.toString())
    for (const byte of chunk) {
      if (byte === LINE_FEED && last !== LINE_FEED) lines++
      if (byte !== CARRIAGE_RETURN) last = byte
    }
  }
  return lines + (last === LINE_FEED ? 0 : 1) - (isCsv ? 1 : 0)
}

/** Yields each identity of the list once. It skips empty lines. */
export async function* listIdentities(
  source: ListSource,
  { done, signal, onBadLine, onSkip, ...flags }: IdentityListOptions,
): AsyncGenerator<string, void, undefined> {
  const { column = '' } = flags
  const seen = new IdentitySet()
  const stream = addAbortSignal(signal, openStream(source, signal))
  try {
    const { chunks, format, delimiter } = await detectFormat(inTurns(stream), flags)
    for await (const line of format === 'csv' ? readCsv(chunks, column, delimiter) : readLines(chunks)) {
      if (signal.aborted) return
      const text = textOf(line)
      if (text === '' && format !== 'csv') continue
      const identity = format === 'jsonl' ? memberOf(text, column) : text
      const problem = line.problem ?? problemOf(identity, format === 'jsonl' && column)
      if (identity === undefined || problem) onBadLine(line.number, problem ?? '')
      else if (done.has(identity)) onSkip('in-output')
      else if (!seen.add(identity)) onSkip('duplicate')
      else yield identity
    }
  } catch (error) {
    if (signal.aborted) return
    throw error instanceof CommandError ? error : fileError('Cannot read the list of identities', error)
  } finally {
    stream.destroy()
  }
}

function openStream({ fd, kind }: ListSource, signal: AbortSignal): Readable {
  if (fd === 0) return process.stdin
  if (kind === 'pipe') return new Socket({ fd, writable: false })
  if (kind === 'named-pipe') return Readable.from(readNamedPipe(fd, signal))
  return createReadStream('', { fd, ...(kind === 'file' && { start: 0 }) })
}

/** Yields one chunk per turn of the event loop, which otherwise reads megabytes of a pipe before it handles a signal. */
async function* inTurns(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of stream) {
    yield chunk
    await setImmediate()
  }
}

/** Returns a string, or an integer that a number of JavaScript holds exactly. */
function memberOf(text: string | undefined, column: string): string | undefined {
  const value = parseObject(text ?? '')?.[column]
  return typeof value === 'string' || Number.isSafeInteger(value) ? String(value) : undefined
}

function problemOf(identity: string | undefined, member: string | false): string | undefined {
  if (identity === '') return 'its identity is empty'
  // JSON can escape half of a surrogate pair.
  if (identity !== undefined && !/\p{Surrogate}/u.test(identity))
    return looksLikeSecret(identity) ? 'it looks like a secret or a token, not an identity' : undefined
  return member === false ? 'it is not UTF-8' : `it is not a JSON object with a string ${quote(member)}`
}
